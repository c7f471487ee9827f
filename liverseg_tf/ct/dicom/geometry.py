"""Where the slices of a DICOM series lie, and whether they are a volume."""

from collections.abc import Callable, Hashable

import numpy as np

from liverseg_tf.ct.dicom.slices import Slice
from liverseg_tf.ct.volume import ORTHONORMAL_TOLERANCE
from liverseg_tf.errors import LiverSegError

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])
SAME_DIRECTION = 1e-4
SAME_PLACE_MM = 0.01
GRID_TOLERANCE_VOXELS = 0.1  # as much as image and mask may differ


def stack_slices(slices: list[Slice]) -> tuple[list[Slice], np.ndarray]:
    """Order slices along their normal.

    They run to the patient's left, posterior or superior: to the one that the normal is
    nearest to, whatever their numbers and file names say.

    Args:
        slices: of one series, at least one.

    Returns:
        The slices in order, each instance once, and the affine (4, 4) that maps
        (col, row, z) to RAS+ mm.

    Raises:
        LiverSegError: when they are not of one patient, shape, pixel spacing and orientation,
            lie at one position, unevenly, shifted sideways, or on a tilted gantry.
    """
    slices = _each_once(slices)
    _check_alike(slices)
    across, down, normal = _axes(slices[0])
    distances = np.array([one.position_mm for one in slices]) @ normal
    order = np.argsort(distances, kind="stable")
    slices, distances = [slices[index] for index in order], distances[order]
    if len(slices) > 1:
        _check_positions_differ(slices, distances)
        origin, step = _fit(slices, normal, distances)
    else:
        origin, step = np.array(slices[0].position_mm), normal * _claimed_distance(slices[0])
    affine = np.eye(4)
    row_mm, column_mm = slices[0].spacing_mm
    affine[:3] = np.column_stack([across * column_mm, down * row_mm, step, origin])
    affine[:3] *= LPS_TO_RAS[:, None]
    return slices, affine


def _each_once(slices: list[Slice]) -> list[Slice]:
    """A file that lies there twice counts once; anonymised files may share a UID."""
    kept = {(one.uid, one.frame, one.position_mm) if one.uid else one: one for one in slices}
    return list(kept.values())


def _check_alike(slices: list[Slice]) -> None:
    _check_one(slices, "patient", lambda one: one.patient)
    _check_one(slices, "shape (rows, columns)", lambda one: one.shape)
    first = slices[0]
    for one in slices:
        if not all(mm > 0 for mm in one.spacing_mm):
            raise LiverSegError(
                f"Expected a PixelSpacing above 0 mm in {one.file}. Received {one.spacing_mm}."
            )
        off = np.abs(np.subtract(one.spacing_mm, first.spacing_mm)) * one.shape
        if (off > GRID_TOLERANCE_VOXELS * np.array(first.spacing_mm)).any():
            _refuse_two((first, one), "pixel spacing in mm", lambda one: one.spacing_mm)
        if np.abs(np.subtract(one.cosines, first.cosines)).max() > SAME_DIRECTION:
            _refuse_two((first, one), "orientation", lambda one: one.cosines)


def _check_one(slices: list[Slice], noun: str, value: Callable[[Slice], Hashable]) -> None:
    examples = {value(one): one for one in reversed(slices)}
    if len(examples) > 1:
        _refuse_two(tuple(examples.values())[:-3:-1], noun, value)


def _refuse_two(pair: tuple[Slice, ...], noun: str, value: Callable[[Slice], Hashable]) -> None:
    one, other = pair
    raise LiverSegError(
        f"Expected slices of one {noun}. Received {value(one)!r} in {one.file} and "
        f"{value(other)!r} in {other.file}."
    )


def _axes(one: Slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along a row, along a column and along the stack, LPS."""
    across, down = np.array(one.cosines).reshape(2, 3)
    lengths = np.linalg.norm(across), np.linalg.norm(down)
    off = max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(across @ down))
    if off > ORTHONORMAL_TOLERANCE:
        raise LiverSegError(
            f"Expected ImageOrientationPatient with two perpendicular unit vectors in {one.file}. "
            f"Received {list(one.cosines)}."
        )
    across, down = across / lengths[0], down / lengths[1]
    normal = np.cross(across, down)
    normal *= np.sign(normal[np.abs(normal).argmax()]) / np.linalg.norm(normal)
    return across, down, normal


def _check_positions_differ(slices: list[Slice], distances: np.ndarray) -> None:
    same = np.flatnonzero(np.diff(distances) < SAME_PLACE_MM)
    if len(same):
        one, other = slices[same[0]], slices[same[0] + 1]
        raise LiverSegError(
            f"Expected one slice at each position. Received {len(slices)} slices at "
            f"{len(slices) - len(same)} positions, such as {_name(one)} and {_name(other)} at "
            f"{distances[same[0]]:.2f} mm (phases, echoes or a second reconstruction?)."
        )


def _fit(
    slices: list[Slice], normal: np.ndarray, distances: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First position and step (LPS mm) of the evenly spaced line that fits the positions best.

    Headers round positions to a hundredth or a tenth of a mm: single distances vary by as much.
    """
    positions = np.array([one.position_mm for one in slices])
    index = np.arange(len(slices)) - (len(slices) - 1) / 2
    step = index @ positions / (index @ index)
    off = positions - positions.mean(axis=0) - np.outer(index, step)
    spacing = float(step @ normal)
    if np.abs(off @ normal).max() > GRID_TOLERANCE_VOXELS * spacing:
        _refuse_gaps(slices, distances)
    sideways_mm = GRID_TOLERANCE_VOXELS * min(slices[0].spacing_mm)
    off -= np.outer(off @ normal, normal)
    worst = int(np.linalg.norm(off, axis=1).argmax())
    if np.linalg.norm(off[worst]) > sideways_mm:
        raise LiverSegError(
            "Expected slices that lie on one straight line. Received "
            f"{_name(slices[worst])}, {np.linalg.norm(off[worst]):.2f} mm beside it."
        )
    drift = step - spacing * normal
    tilt = float(np.linalg.norm(drift)) / spacing
    if tilt > 0.9 * ORTHONORMAL_TOLERANCE:
        if np.linalg.norm(drift) * (len(slices) - 1) > sideways_mm:
            raise LiverSegError(
                "Expected slices perpendicular to the direction in which they are stacked. "
                f"Received a gantry tilt of {np.degrees(np.arctan(tilt)):.2f} degrees "
                "(resample the series onto an orthogonal grid first)."
            )
        step = spacing * normal  # a few slices whose positions are rounded
    return positions.mean(axis=0) + index[0] * step, step


def _refuse_gaps(slices: list[Slice], distances: np.ndarray) -> None:
    gaps = np.diff(distances)
    usual = float(np.median(gaps))
    widest = int(np.abs(gaps - usual).argmax())
    missing = round(gaps[widest] / usual) - 1
    hint = f", as if {missing} {'was' if missing == 1 else 'were'} missing" if missing > 0 else ""
    raise LiverSegError(
        f"Expected {len(slices)} slices at equal distances. Received {usual:.3g} mm as a rule and "
        f"{gaps[widest]:.3g} mm between {_name(slices[widest])} and "
        f"{_name(slices[widest + 1])}{hint}."
    )


def _claimed_distance(one: Slice) -> float:
    if one.distance_mm is None or not 0 < one.distance_mm < np.inf:
        raise LiverSegError(
            f"Expected at least two slices, or one with its SliceThickness. Received {one.file} "
            f"alone with {one.distance_mm}."
        )
    return one.distance_mm


def _name(one: Slice) -> str:
    return f"{one.file}" + (f" frame {one.frame + 1}" if one.frame else "")
