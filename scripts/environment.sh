# Functions for demo.sh and test.sh, which source this file.
# prepare_environment [EXTRA]   creates or updates .venv, with an extra of setup.cfg if one is given,
#                               and puts its programs first on the PATH
# prepare_browser               installs Chromium and Node.js for the tests of the HTML pages and the site

prepare_environment() {
    local extra="${1:-}" python="" candidate stamp checksum
    for candidate in "${PYTHON:-}" python3.12 python3.13 python3.11 python3 python; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            python="$candidate"
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Python 3.11, 3.12 or 3.13 was not found on the PATH." \
            "Install it, or set the variable PYTHON to its path." >&2
        return 1
    fi
    if ! .venv/bin/python -c '' 2>/dev/null; then
        rm -rf .venv
        echo "Creating .venv with $("$python" --version)"
        "$python" -m venv .venv
    fi
    # the stamp contains a checksum of the metadata that was installed: another extra or a changed
    # setup.cfg starts a new installation
    checksum="$(cat setup.cfg setup.py pyproject.toml | .venv/bin/python -c \
        'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')"
    stamp=".venv/installed${extra:+-$extra}"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$checksum" ]; then
        echo "Installing liverseg_tf${extra:+[$extra]} into .venv (once; this takes some minutes)"
        # pip would compile 18,000 modules, of which most are never used, for more than a minute
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
            --editable ".${extra:+[$extra]}"
        echo "$checksum" >"$stamp"
    fi
    # Python compiles the others when they are first imported, and keeps them unless this is set
    unset PYTHONDONTWRITEBYTECODE
    export PATH="$PWD/.venv/bin:$PATH"
}

# Install Debian's chromium, its driver and Node.js if this is possible; the other tests run without them.
prepare_browser() {
    if command -v chromedriver >/dev/null && command -v node >/dev/null &&
        { command -v chromium || command -v google-chrome; } >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing chromium, chromium-driver and nodejs (once; this takes some minutes)"
        if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
            --no-install-recommends chromium chromium-driver nodejs; } >/dev/null 2>&1; then
            return
        fi
    fi
    echo "Chromium or Node.js was not found: the tests of the HTML pages and the site that need them" \
        "are skipped. To run them, install chromium, chromedriver and Node.js" \
        "(Debian: apt install chromium chromium-driver nodejs)." >&2
}
