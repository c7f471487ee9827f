"""Geometry of a DICOM series: the order of its slices, their affine, and consistency checks."""

from collections.abc import Callable, Hashable

import numpy as np

from liverseg_tf.ct.dicom.slices import DicomSlice
from liverseg_tf.ct.dicom.values import format_numbers
from liverseg_tf.ct.volume import GRID_TOLERANCE_VOXELS, ORTHONORMAL_TOLERANCE
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
SAME_DIRECTION = 1e-4
SAME_PLACE_MM = 0.01


def stack_slices(slices: list[DicomSlice]) -> tuple[list[DicomSlice], np.ndarray]:
    """Sort slices along their normal and compute the affine of the stack.

    The stack runs towards the patient's left, posterior or superior, whichever is closest to the
    normal of the slices. Instance numbers and file names are ignored.

    Args:
        slices: Slices of one series, at least one.

    Returns:
        The sorted slices, and the affine, (4, 4) float64, that maps
        (col, row, z) to RAS+ mm.

    Raises:
        LiverSegError: If the slices differ in patient, shape, pixel spacing or orientation, share
            a position, are unevenly spaced or shifted sideways, or come from a tilted gantry.
    """
    _check_consistent(slices)
    across, down, normal = _axes(slices[0])
    distances = np.array([current.position_mm for current in slices]) @ normal
    order = np.argsort(distances, kind="stable")
    slices, distances = [slices[index] for index in order], distances[order]
    if len(slices) > 1:
        _check_positions_differ(slices, distances)
        origin, step = _fit_line(slices, normal, distances)
    else:
        origin, step = np.array(slices[0].position_mm), normal * _stated_distance(slices[0])
    affine = np.eye(4)
    row_mm, column_mm = slices[0].spacing_mm
    affine[:3] = np.column_stack([across * column_mm, down * row_mm, step, origin])
    affine[:3] *= LPS_TO_RAS[:, None]
    return slices, affine


def _check_consistent(slices: list[DicomSlice]) -> None:
    _check_same(slices, "patient", lambda current: f"'{current.patient}'")
    _check_same(slices, "modality", lambda current: current.modality or "none")
    _check_same(
        slices,
        "kind, all with RescaleSlope and RescaleIntercept or all without",
        lambda current: "both" if current.rescaled else "none",
    )
    _check_same(slices, "shape (rows x columns)", lambda current: "{} x {}".format(*current.shape))
    first = slices[0]
    for other in slices:
        if not all(mm > 0 for mm in other.spacing_mm):
            raise LiverSegError(
                f"Expected a PixelSpacing above 0 mm in {other.file}. "
                f"Received {format_numbers(other.spacing_mm)} mm."
            )
        difference = np.abs(np.subtract(other.spacing_mm, first.spacing_mm)) * other.shape
        if (difference > GRID_TOLERANCE_VOXELS * np.array(first.spacing_mm)).any():
            _raise_mismatch(
                (first, other),
                "pixel spacing",
                lambda current: f"{format_numbers(current.spacing_mm)} mm",
            )
        if np.abs(np.subtract(other.cosines, first.cosines)).max() > SAME_DIRECTION:
            _raise_mismatch(
                (first, other), "orientation", lambda current: format_numbers(current.cosines)
            )


def _check_same(
    slices: list[DicomSlice], quantity: str, value_of: Callable[[DicomSlice], Hashable]
) -> None:
    examples = {value_of(current): current for current in reversed(slices)}
    if len(examples) > 1:
        _raise_mismatch(tuple(examples.values())[:-3:-1], quantity, value_of)


def _raise_mismatch(
    pair: tuple[DicomSlice, ...], quantity: str, value_of: Callable[[DicomSlice], Hashable]
) -> None:
    first, other = pair
    raise LiverSegError(
        f"Expected slices of one {quantity}. Received {value_of(first)} in {first.file} and "
        f"{value_of(other)} in {other.file}."
    )


def _axes(current: DicomSlice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors along a row, along a column and along the stack, (3,) float64, LPS."""
    across, down = np.array(current.cosines).reshape(2, 3)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    deviation = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across @ down))
    if deviation > ORTHONORMAL_TOLERANCE:
        raise LiverSegError(
            "Expected ImageOrientationPatient with two perpendicular unit vectors in "
            f"{current.file}. Received {format_numbers(current.cosines)}."
        )
    across, down = across / lengths[0], down / lengths[1]
    normal = np.cross(across, down)
    normal *= np.sign(normal[np.abs(normal).argmax()]) / np.linalg.norm(normal)
    return across, down, normal


def _check_positions_differ(slices: list[DicomSlice], distances: np.ndarray) -> None:
    same = np.flatnonzero(np.diff(distances) < SAME_PLACE_MM)
    if len(same):
        first, second = slices[same[0]], slices[same[0] + 1]
        raise LiverSegError(
            f"Expected one slice at each position. Received {len(slices)} slices at "
            f"{count(len(slices) - len(same), 'position')}, for example {_name(first)} and "
            f"{_name(second)} at {distances[same[0]]:.2f} mm "
            "(several phases, echoes or reconstructions?)."
        )


def _fit_line(
    slices: list[DicomSlice], normal: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit an evenly spaced line to the positions by least squares.

    Headers round positions to 0.01 or 0.1 mm, so that single distances vary by as much.

    Returns:
        Position of the first slice and step to the next one, each (3,) float64 in mm, LPS.
    """
    positions = np.array([current.position_mm for current in slices])
    index = np.arange(len(slices)) - (len(slices) - 1) / 2
    step = index @ positions / (index @ index)
    residuals = positions - positions.mean(axis=0) - np.outer(index, step)
    spacing = float(step @ normal)
    if np.abs(residuals @ normal).max() > GRID_TOLERANCE_VOXELS * spacing:
        _raise_uneven(slices, distances)
    tolerance_mm = GRID_TOLERANCE_VOXELS * min(slices[0].spacing_mm)
    residuals -= np.outer(residuals @ normal, normal)
    worst = int(np.linalg.norm(residuals, axis=1).argmax())
    if np.linalg.norm(residuals[worst]) > tolerance_mm:
        raise LiverSegError(
            "Expected slices that lie on one straight line. Received "
            f"{_name(slices[worst])}, {np.linalg.norm(residuals[worst]):.2f} mm beside it."
        )
    drift = step - spacing * normal
    tilt = float(np.linalg.norm(drift)) / spacing
    if tilt > 0.9 * ORTHONORMAL_TOLERANCE:
        if np.linalg.norm(drift) * (len(slices) - 1) > tolerance_mm:
            raise LiverSegError(
                "Expected slices perpendicular to the direction in which they are stacked. "
                f"Received a gantry tilt of {np.degrees(np.arctan(tilt)):.2f} degrees "
                "(resample the series onto an orthogonal grid first)."
            )
        step = spacing * normal  # the drift of a few slices is only rounding
    return positions.mean(axis=0) + index[0] * step, step


def _raise_uneven(slices: list[DicomSlice], distances: np.ndarray) -> None:
    gaps = np.diff(distances)
    usual = float(np.median(gaps))
    tolerance = 2 * GRID_TOLERANCE_VOXELS * usual
    widest = int(np.abs(gaps - usual).argmax())
    alike = np.abs(gaps - gaps[widest]) <= tolerance
    normal = np.abs(gaps - usual) <= tolerance
    if alike.sum() > 1 and (alike | normal).all() and (np.diff(alike).sum() == 1):
        parts = sorted(((usual, int(normal.sum())), (float(gaps[widest]), int(alike.sum()))))
        raise LiverSegError(
            f"Expected {len(slices)} slices at equal distances. Received two parts, "
            + " and ".join(f"{number} distances of {mm:.3g} mm" for mm, number in parts)
            + f", which meet at {_name(slices[int(np.diff(alike).argmax()) + 1])}: separate them "
            "into two series."
        )
    missing = round(gaps[widest] / usual) - 1
    whole = abs(gaps[widest] - (missing + 1) * usual) <= tolerance * (missing + 1)
    hint = f" ({count(missing, 'missing slice')}?)" if missing > 0 and whole else ""
    raise LiverSegError(
        f"Expected {len(slices)} slices at equal distances. Received a usual distance of "
        f"{usual:.3g} mm, but {gaps[widest]:.3g} mm between {_name(slices[widest])} and "
        f"{_name(slices[widest + 1])}{hint}."
    )


def _stated_distance(current: DicomSlice) -> float:
    distance_mm = current.distance_mm
    if distance_mm is None or not 0 < distance_mm < np.inf:
        thickness = "without one" if distance_mm is None else f"with {distance_mm:g} mm"
        raise LiverSegError(
            "Expected at least two slices, or one slice with a SliceThickness above 0 mm. "
            f"Received only {current.file} {thickness}."
        )
    return distance_mm


def _name(current: DicomSlice) -> str:
    return f"{current.file}" + (f" frame {current.frame + 1}" if current.frame else "")
