# Sourced by demo.sh and test.sh: makes or updates .venv, and puts its programs first.
# usage: prepare_environment EXTRA   (an extra of setup.cfg, or nothing)
#        prepare_browser             (for the tests of report, viewer and site)

prepare_environment() {
    local extra="${1:-}" python="" candidate stamp wanted
    for candidate in "${PYTHON:-}" python3.12 python3.13 python3.11 python3 python; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            python="$candidate"
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "Expected Python 3.11, 3.12 or 3.13 on the PATH (or in PYTHON). Found none." >&2
        return 1
    fi
    if ! .venv/bin/python -c '' 2>/dev/null; then
        rm -rf .venv
        echo "Making .venv with $("$python" --version)"
        "$python" -m venv .venv
    fi
    # what was installed for which metadata; another extra or an edited setup.cfg installs anew
    wanted="$(cat setup.cfg setup.py pyproject.toml | .venv/bin/python -c \
        'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')"
    stamp=".venv/installed${extra:+-$extra}"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing liverseg_tf${extra:+[$extra]} into .venv (once, some minutes)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check \
            --editable ".${extra:+[$extra]}"
        echo "$wanted" >"$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}

# Debian's chromium and its driver, where they can be installed; the tests run without them.
prepare_browser() {
    if command -v chromedriver >/dev/null &&
        { command -v chromium || command -v google-chrome; } >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing chromium and chromium-driver (once, some minutes)"
        if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
            --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1; then
            return
        fi
    fi
    echo "No browser: the tests of report, viewer and site in Chromium are skipped." \
        "Install chromium and chromedriver (Debian: apt install chromium chromium-driver)." >&2
}
