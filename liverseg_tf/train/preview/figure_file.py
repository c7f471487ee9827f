"""Figures as files."""

from pathlib import Path

from matplotlib.figure import Figure

from liverseg_tf.atomic import replacing

_DPI = 110


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the path's suffix names; PNG where it has none.

    Raises:
        LiverSegError: when the file can't be written.
    """
    with replacing(path) as partial:
        figure.savefig(partial, dpi=_DPI, format=path.suffix.lstrip(".") or "png")
