"""Writes Matplotlib figures to files."""

from pathlib import Path

from matplotlib.figure import Figure

from liverseg_tf.atomic import replacing
from liverseg_tf.printable import printable

_DPI = 110


def literal(name: str) -> str:
    """Return the text with which Matplotlib shows a name as it is.

    Names are never markup: dollar signs would begin a formula, an underscore at the start would
    hide the entry of a legend, and control characters have no glyph.

    Args:
        name: Name of a region or a case.
    """
    text = printable(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the format of the path's suffix; without a suffix, as PNG.

    Args:
        figure: Figure to write.
        path: Path of the file.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI, format=path.suffix.lstrip(".") or "png")
