"""Self-contained HTML pages, which need no other file and no network."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.printable import printable

_GENERATOR = '<meta name="generator" content="liverseg_tf">'
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Page:
    """Contents of a page.

    Args:
        title: Title as plain text.
        style: Style sheet.
        body: HTML in pieces, in which all text has been escaped.
        scripts: Scripts that run after the body, in order. No other script can run.
        runs_wasm: Whether the scripts start workers from scripts that the page holds, and compile
            WebAssembly.
    """

    title: str
    style: str
    body: Iterable[str]
    scripts: tuple[str, ...] = ()
    runs_wasm: bool = False


def escape(text: str) -> str:
    """Return a text as HTML, in which control characters are visible."""
    return html.escape(printable(text))


def is_own_page(path: Path) -> bool:
    """Return whether a file is a page that `write_page` has written."""
    try:
        with open(path, "rb") as stream:
            return _GENERATOR.encode() in stream.read(_HEAD_BYTES)
    except OSError:
        return False


def write_page(path: Path, page: Page) -> None:
    """Write a page, atomically.

    The Content-Security-Policy of the page allows its own scripts and style sheet (by their
    hashes) and embedded pictures, and forbids all access to a network.

    Args:
        path: Path of the .html file.
        page: Contents of the page.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    with (
        replacing(path) as partial,
        open(partial, "w", encoding="utf-8", newline="\n") as stream,
    ):
        stream.write(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f"{_GENERATOR}\n"
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(page)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(page.title)}</title>\n<style>{page.style}</style></head>\n<body>\n"
        )
        stream.writelines(page.body)
        stream.writelines(f"<script>{script}</script>\n" for script in page.scripts)
        stream.write("</body></html>\n")


def read_asset(name: str) -> str:
    """Read a script, a style sheet or a piece of HTML from the package."""
    return files("liverseg_tf").joinpath("assets", name).read_text(encoding="utf-8")


def embed_json(element_id: str, value: object) -> str:
    """Return an element with a value as JSON, in which markup characters are escaped.

    Args:
        element_id: Identifier by which a script finds the element.
        value: Value that can be written as JSON.
    """
    text = json.dumps(value, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{escape(element_id)}">{text}</script>\n'


def embed_bytes(element_id: str, data: bytes) -> str:
    """Return an element with bytes as base64.

    Args:
        element_id: Identifier by which a script finds the element.
        data: Bytes of any kind.
    """
    text = base64.b64encode(data).decode("ascii")
    return f'<script type="text/plain" id="{escape(element_id)}">{text}</script>\n'


def embed_picture(data: bytes, kind: str, text: str) -> str:
    """Return an element with a picture.

    Args:
        data: Contents of the picture file.
        kind: "png" or "svg+xml".
        text: Description for screen readers.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img alt="{escape(text)}" src="{source}">'


def _policy(page: Page) -> str:
    scripts = " ".join(map(_hash, page.scripts)) or "'none'"
    if page.runs_wasm:
        scripts += " blob: 'wasm-unsafe-eval'; worker-src blob:"
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(page.style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
