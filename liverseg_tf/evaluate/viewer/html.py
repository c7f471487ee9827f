"""One HTML file that needs nothing else and asks no network for anything."""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from liverseg_tf.atomic import replacing


@dataclass(frozen=True)
class Page:
    """What a page consists of.

    Args:
        title: text of any kind.
        style: a style sheet.
        body: HTML in pieces; the caller escapes what is text.
        scripts: run after the body, in order; nothing else may run.
    """

    title: str
    style: str
    body: Iterable[str]
    scripts: tuple[str, ...] = ()


def write_page(path: Path, page: Page) -> None:
    """Write a page, whole or not at all.

    Its Content-Security-Policy allows its own scripts and style by their hashes, pictures
    that are embedded, and nothing from a network.

    Args:
        path: .html file.
        page: what is written.

    Raises:
        LiverSegError: when the file can't be written.
    """
    with (
        replacing(path) as partial,
        open(partial, "w", encoding="utf-8", newline="\n") as stream,
    ):
        stream.write(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(page)}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(page.title)}</title>\n<style>{page.style}</style></head>\n<body>\n"
        )
        stream.writelines(page.body)
        stream.writelines(f"<script>{script}</script>\n" for script in page.scripts)
        stream.write("</body></html>\n")


def asset(name: str) -> str:
    """A text file of the package: a script, a style sheet or a piece of HTML."""
    return files("liverseg_tf").joinpath("assets", name).read_text(encoding="utf-8")


def data_script(name: str, value: object) -> str:
    """A value as JSON that a script of the page finds by its id; no text in it can end it."""
    text = json.dumps(value, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>\n'


def bytes_script(name: str, data: bytes) -> str:
    """Bytes as base64 that a script of the page finds by its id."""
    text = base64.b64encode(data).decode("ascii")
    return f'<script type="text/plain" id="{escape(name)}">{text}</script>\n'


def picture(data: bytes, kind: str, text: str) -> str:
    """An embedded picture.

    Args:
        data: its file.
        kind: "png" or "svg+xml".
        text: what it shows, for those who don't see it.
    """
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img alt="{escape(text)}" src="{source}">'


def _policy(page: Page) -> str:
    scripts = " ".join(map(_hash, page.scripts)) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(page.style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
