"""Label descriptions for ITK-SNAP: the name and the colour of each label of a mask."""

from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.snomed import find_segment_code
from liverseg_tf.predict.outputs.seg_nrrd import Colours

_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
"""


def write_label_description(path: Path, regions: Regions, colours: Colours | None = None) -> None:
    """Write the file that ITK-SNAP reads with Segmentation > Import Label Descriptions, atomically.

    A label is named after its regions, without those in which another one of them is nested.

    Args:
        path: Text file.
        regions: Regions of the labels.
        colours: Colours of some regions, RGB, each 0 to 255. Others have those of `snomed`.

    Raises:
        OSError: If the file cannot be written.
    """
    lines = [_line(0, (0, 0, 0), 0, "Clear Label")]
    for label in sorted({label for _, labels in regions.items for label in labels}):
        members = [name for name, labels in regions.items if label in labels]
        innermost = [
            name for name in members if not set(regions.nested_in(name)) & set(members)
        ] or members
        name = innermost[-1]
        colour = (colours or {}).get(name, find_segment_code(regions, name).colour)
        title = ", ".join(innermost)
        if label not in regions.written_labels:
            title += f" ({label})"  # a further label of a region
        lines.append(_line(label, colour, 1, title))
    with replacing(path) as partial:
        partial.write_text(_HEADER + "".join(lines), encoding="utf-8", newline="\n")


def _line(label: int, colour: tuple[int, int, int], visible: int, name: str) -> str:
    red, green, blue = colour
    quoted = name.replace('"', "'")
    return (
        f"{label:5d} {red:5d} {green:4d} {blue:4d} {visible:8d} {visible:2d} {visible:2d}"
        f'    "{quoted}"\n'
    )
