"""The grid of an NRRD image: its axes, their directions, and its units of length."""

import re
from dataclasses import dataclass

import numpy as np

from liverseg_tf.ct.itk.itk_header import HeaderError, parse_numbers

# Sign along (x to the right, y to anterior, z to superior) of each word of the space's name
_WORDS = {
    "right": (0, 1),
    "left": (0, -1),
    "anterior": (1, 1),
    "posterior": (1, -1),
    "superior": (2, 1),
    "inferior": (2, -1),
}
_LETTERS = {word[0].upper(): word for word in _WORDS}
_UNNAMED_SPACES = {"scanner-xyz", "3d-right-handed", "3d-left-handed"}
_UNIT_MM = (
    dict.fromkeys(("", "mm", "millimeter", "millimeters", "millimetre", "millimetres", "???"), 1.0)
    | dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0)
    | dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0)
    | dict.fromkeys(("um", "micron", "microns", "\u00b5m", "\u03bcm"), 0.001)
    | dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), 0.001)
    | dict.fromkeys(("nm", "nanometer", "nanometers"), 1e-6)
)
_VECTOR = re.compile(r"\(([^()]*)\)|(none)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class NrrdGrid:
    """The three spatial axes of an NRRD image.

    Args:
        shape: Shape along (i, j, k).
        affine: (4, 4) float64, from voxel (i, j, k) to RAS+ mm.
        lacks_orientation: Whether the header does not say where the axes point in the patient.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    lacks_orientation: bool


def read_grid(fields: dict[str, str], shape: tuple[int, ...]) -> NrrdGrid:
    """Determine the grid from the fields of a header.

    Args:
        fields: Fields by name in lower case without blanks.
        shape: Shape of the array in the file, the fastest axis first.

    Raises:
        HeaderError: If there are not three spatial axes, or their spacing is not known.
    """
    if "spacedirections" in fields:
        vectors = _parse_directions(fields["spacedirections"], len(shape))
    elif "spacings" in fields:
        vectors = _parse_spacings(fields["spacings"], shape)
    else:
        raise HeaderError("a header without spacings and space directions")
    spatial = _spatial_axes(vectors, shape)
    columns = [vectors[axis] or [] for axis in spatial]
    if any(len(column) != 3 for column in columns):
        raise HeaderError("a space of other than 3 dimensions")
    axes = np.array(columns).T
    origin = np.zeros(3)
    if "spaceorigin" in fields:
        origins = _parse_vectors(fields["spaceorigin"], "space origin")
        if len(origins) != 1 or origins[0] is None or len(origins[0]) != 3:
            raise HeaderError(f"a space origin of '{fields['spaceorigin']}'")
        origin = np.array(origins[0])
    to_ras, named = _space(fields)
    affine = np.eye(4)
    if "spacedirections" in fields:
        scale = _space_units(fields)
        affine[:3, :3] = to_ras @ (scale[:, None] * axes)
        affine[:3, 3] = to_ras @ (scale * origin)
    else:
        named = False  # the directions of the axes within the space are not given
        affine[:3, :3] = to_ras @ axes * _axis_units(fields, len(shape), spatial)
        affine[:3, 3] = to_ras @ (_space_units(fields) * origin)
    i, j, k = (shape[axis] for axis in spatial)
    return NrrdGrid((i, j, k), affine, not named)


def _spatial_axes(vectors: list[list[float] | None], shape: tuple[int, ...]) -> list[int]:
    """Return the three axes with a direction; every other axis must have one element."""
    spatial = [axis for axis, vector in enumerate(vectors) if vector is not None]
    for axis in reversed(range(len(shape))):  # a fourth axis of one element
        if len(spatial) > 3 and axis in spatial and shape[axis] == 1:
            spatial.remove(axis)
    others = {shape[axis] for axis in range(len(shape)) if axis not in spatial}
    if len(spatial) < 3 and len(shape) == 3:
        raise HeaderError("an axis without spacing or direction ('nan' or 'none')")
    if len(spatial) != 3 or others - {1}:
        raise HeaderError(f"the shape {shape}, which is not a 3D image of one value per voxel")
    return spatial


def _parse_directions(text: str, axes: int) -> list[list[float] | None]:
    vectors = _parse_vectors(text, "space directions")
    if len(vectors) != axes:
        raise HeaderError(f"space directions of {len(vectors)} instead of {axes} axes")
    return vectors


def _parse_spacings(text: str, shape: tuple[int, ...]) -> list[list[float] | None]:
    words = text.split()
    if len(words) != len(shape):
        raise HeaderError(f"spacings of '{text}' instead of {len(shape)} numbers")
    vectors: list[list[float] | None] = []
    position = 0
    for word in words:
        if word.lower() == "nan":
            vectors.append(None)
            continue
        (spacing,) = parse_numbers(word, "spacings", 1)
        if spacing <= 0:
            raise HeaderError(f"spacings of '{text}', which are not above 0")
        vector = [0.0] * 3
        if position < 3:
            vector[position] = spacing
        vectors.append(vector)
        position += 1
    return vectors


def _parse_vectors(text: str, name: str) -> list[list[float] | None]:
    if _VECTOR.sub("", text).strip():
        raise HeaderError(f"{name} of '{text}'")
    return [
        None if match[2] else parse_numbers(match[1].replace(",", " "), name)
        for match in _VECTOR.finditer(text)
    ]


def _space(fields: dict[str, str]) -> tuple[np.ndarray, bool]:
    """Return the matrix from the space's axes to RAS+, and whether the space names them."""
    space = fields.get("space", "").lower()
    letters = space.upper().removesuffix("T") if len(space) == 4 else space.upper()
    if len(letters) == 3 and set(letters) <= _LETTERS.keys():
        words = [_LETTERS[letter] for letter in letters]
    else:
        words = space.removesuffix("-time").split("-")
    if all(word in _WORDS for word in words) and len({_WORDS[word][0] for word in words}) == 3:
        to_ras = np.zeros((3, 3))
        for column, word in enumerate(words):
            axis, sign = _WORDS[word]
            to_ras[axis, column] = sign
        return to_ras, True
    if space and space.removesuffix("-time") not in _UNNAMED_SPACES:
        raise HeaderError(f"the unknown space '{space}'")
    if "spacedimension" in fields and parse_numbers(
        fields["spacedimension"], "space dimension", 1
    ) != [3]:
        raise HeaderError(f"a space dimension of {fields['spacedimension']} instead of 3")
    return np.diag([-1.0, -1.0, 1.0]), False  # LPS is assumed


def _space_units(fields: dict[str, str]) -> np.ndarray:
    """Return the length in mm of the units of the three space axes."""
    if "spaceunits" in fields:
        return _parse_units(fields["spaceunits"], 3, "space units")
    if "units" in fields and "spacedirections" in fields:
        units = _parse_units(fields["units"], None, "units")
        if not (units == 1).all():
            raise HeaderError("units of the axes other than mm, and no space units")
    return np.ones(3)


def _axis_units(fields: dict[str, str], axes: int, spatial: list[int]) -> np.ndarray:
    if "units" in fields:
        return _parse_units(fields["units"], axes, "units", spatial)
    return _space_units(fields)


def _parse_units(
    text: str, count: int | None, name: str, axes: list[int] | None = None
) -> np.ndarray:
    units = re.findall(r'"([^"]*)"', text)
    if (count is not None and len(units) < count) or re.sub(r'"[^"]*"', "", text).strip():
        raise HeaderError(f"{name} of '{text}' instead of a quoted unit for each axis")
    if axes is not None:
        units = [units[axis] for axis in axes]
    elif count is not None:
        units = units[:count]
    try:
        return np.array([_UNIT_MM[unit.strip().lower()] for unit in units])
    except KeyError as error:
        raise HeaderError(f"the unknown unit of length {error} ({name})") from None
