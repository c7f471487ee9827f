"""Text from files and other machines, made safe to show on one line."""

import os
import re
import unicodedata

# control and formatting characters (terminal commands, reversed text), parts of characters (how
# Python reads file names that are not UTF-8), and separators of lines and paragraphs
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_PATH_END = r"[/\\\s:,;'\"]"
_FORMULA = ("=", "+", "-", "@")


def printable(text: object) -> str:
    r"""Return a text in which every control and formatting character is visible.

    Names of files, of cases and of regions, headers and messages of other programs may contain
    commands for the terminal (ESC), characters that reverse the text, line breaks and bytes that
    are not UTF-8. The result is always one line that can be encoded as UTF-8.

    Args:
        text: Text, or a path or an error, which is converted to text.

    Example:
        >>> printable("liver\x1b[2J"), printable(b"caf\xe9".decode(errors="surrogateescape"))
        ('liver\\x1b[2J', 'caf\\xe9')
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def shorten_home(path: object) -> str:
    """Return a printable path in which the home folder is "~", so that it names no user.

    Folders elsewhere with the name of the user become "USER".

    Args:
        path: Path, or a text that contains paths.
    """
    text, home = str(path), os.path.expanduser("~")
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?=$|{_PATH_END})", "~", text)
    user = os.environ.get("USER") or os.environ.get("USERNAME") or ""
    if user and user != "root":
        text = re.sub(rf"(?<=[/\\]){re.escape(user)}(?=$|{_PATH_END})", "USER", text)
    return printable(text)


def spreadsheet_text(text: str) -> str:
    """Return a printable text that a spreadsheet program does not run as a formula.

    A text that starts with `=`, `+`, `-` or `@` gets an apostrophe in front of it, unless it is a
    number.

    Example:
        >>> spreadsheet_text("=HYPERLINK(A1)"), spreadsheet_text("-1"), spreadsheet_text("case_1")
        ("'=HYPERLINK(A1)", '-1', 'case_1')
    """
    text = printable(text)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def file_safe_name(region: str) -> str:
    """Escape the name of a region as %XX so that it can be part of a file or folder name.

    A leading dot is escaped too, so that ".." does not become the parent folder.
    """
    return "".join(
        f"%{ord(letter):02X}"
        if letter in '%/\\:*?"<>|' or ord(letter) < 32 or (letter == "." and not position)
        else letter
        for position, letter in enumerate(region)
    )


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8; see PEP 383
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
