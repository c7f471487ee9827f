"""What the values of a saved mask mean, and whether the mask lies on its image."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.printable import printable
from liverseg_tf.serve.server.limits import Refusal

_MAX_SEGMENTS = 255


def on_image_grid(mask: Volume, image: Volume) -> Volume:
    """Return a mask in the axis order and with the header of its image.

    Args:
        mask: Label map (z, row, col) uint8, in any axis order.
        image: Image.

    Raises:
        LiverSegError: If the mask is not on the voxels of the image.
    """
    canonical = to_canonical(mask)
    check_same_grid(to_canonical(image), canonical)
    array = Orientation.of(image.affine).from_canonical(canonical.array)
    return image.with_array(np.ascontiguousarray(array))


def find_meaning(mask: np.ndarray, sent: object, known: Mapping[str, int]) -> dict[str, int]:
    """Find out what the values of a mask mean.

    3D Slicer sends `label_info`, a list with the name of each segment. It numbers the segments that
    it exports from 1, whatever `idx` in the list says.

    Args:
        mask: Label map uint8.
        sent: Value of `label_info`; None if the viewer sent none.
        known: Value by name in the masks of the model, which is assumed if none was sent.

    Returns:
        Value by name.

    Raises:
        Refusal: If the mask contains a value without a meaning, or with two.
    """
    counts = sum(np.bincount(plane.ravel(), minlength=256) for plane in mask)
    present = set(np.flatnonzero(counts).tolist()) - {0}
    named = known if sent is None else _parse_segments(sent)
    unknown = sorted(present - set(named.values()))
    if unknown:
        listed = ", ".join(f"{value} ({printable(name)})" for name, value in named.items())
        raise Refusal(
            422,
            f"Expected a mask of the values {listed or 'that label_info names'}. Received "
            f"{unknown[0]}: name its segment in label_info, or remove it.",
        )
    for value in present:
        names = [name for name, other in named.items() if other == value]
        if len(names) > 1:  # models that differ; the names that a viewer sends have one value each
            raise Refusal(
                422,
                f"Expected label_info, because the value {value} is {printable(names[0])} in one "
                f"model and {printable(names[1])} in another. Received none.",
            )
    return dict(named)


def _parse_segments(sent: object) -> dict[str, int]:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in _listed(sent)]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise Refusal(422, "Expected label_info as a list of objects with a name. Received others.")
    texts = [str(name).strip()[:64] for name in names]
    if len(set(texts)) < len(texts):
        raise Refusal(
            422,
            "Expected segments with different names. Received two of the same name: rename one.",
        )
    return {text: number for number, text in enumerate(texts, 1)}


def _listed(sent: object) -> list[Any]:
    if not isinstance(sent, list) or len(sent) > _MAX_SEGMENTS:
        raise Refusal(
            422,
            f"Expected label_info as a list of at most {_MAX_SEGMENTS} segments. Received others.",
        )
    return sent
