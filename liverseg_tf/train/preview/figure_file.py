"""Writes Matplotlib figures to files."""

from pathlib import Path

from matplotlib.figure import Figure

from liverseg_tf.atomic import replacing

_DPI = 110


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
