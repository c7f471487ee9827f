"""The scanner of a phantom: grid, slice thickness, noise, padding and axis order of the file."""

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.phantom.patient import Axes, Patient
from liverseg_tf.phantom.shapes import SmoothField
from liverseg_tf.phantom.spec import DIRECTIONS, PhantomSpec

_SLAB_VOXELS = 1_200_000


def draw_axes(rng: np.random.Generator, spec: PhantomSpec, patient: Patient) -> Axes:
    """Draw the (z, y, x) axes of the canonical grid in mm, centred on the body and the liver."""
    thickness, air, below, above = rng.uniform((4, 1.04, 15, 12), (6, 1.16, 50, 40))
    low, high = patient.liver_mm
    if spec.spacing_mm is not None:
        spacing = spec.spacing_mm
    else:
        pixels = min(spec.shape[1:]) if spec.shape else 160
        pixel = patient.width_mm * air / pixels
        pixel = pixel if spec.shape else float(np.clip(pixel, 2.0, 2.6))
        spacing = (thickness, pixel, pixel)
    if spec.shape is not None:
        shape, middle = spec.shape, (low + high) / 2
    else:
        sides = (160 if spec.spacing_mm is None else patient.width_mm * air / mm for mm in spacing)
        slices = max(2, round((high - low + below + above) / spacing[0]))
        shape = (slices, *(int(np.ceil(side / 16)) * 16 for side in list(sides)[1:]))
        middle = (low - below + high + above) / 2
    z, y, x = (
        (np.arange(size) - (size - 1) / 2) * mm + offset
        for size, mm, offset in zip(shape, spacing, (middle, 0, 0), strict=True)
    )
    return z, y, x


def scan_patient(patient: Patient, axes: Axes, values: dict) -> tuple[np.ndarray, np.ndarray]:
    """Average thin slices to thick ones, slab by slab, and blur them like a scanner."""
    z, y, x = axes
    thickness, pixel = z[1] - z[0], x[1] - x[0]
    fine = 3 if thickness > 1.6 else 1
    parts = (np.arange(fine) - fine // 2) * thickness / fine
    slab = max(1, _SLAB_VOXELS // (fine * len(y) * len(x)))
    image = np.empty((len(z), len(y), len(x)), np.float32)
    labels = np.empty(image.shape, np.uint8)
    for start in range(0, len(z), slab):
        thin = (z[start : start + slab, None] + parts).ravel()
        values_thin, labels_thin = patient.paint((thin, y, x), values)
        mean = values_thin.reshape(-1, fine, len(y), len(x)).mean(1)
        blur = (0, 0.4 / (y[1] - y[0]), 0.4 / pixel)
        image[start : start + slab] = ndimage.gaussian_filter(mean, blur, truncate=3)
        labels[start : start + slab] = labels_thin[fine // 2 :: fine]
    return image, labels


def _noise(rng: np.random.Generator, shape: tuple, axes: Axes) -> np.ndarray:
    """Draw correlated noise of unit standard deviation, partly in streaks along the rows."""
    grain, streaks = (rng.standard_normal(shape, np.float32) for _ in range(2))
    pixel = axes[2][1] - axes[2][0]
    grain = ndimage.gaussian_filter(grain, (0, 1.1 / pixel, 1.1 / pixel), truncate=3)
    streaks = ndimage.gaussian_filter1d(streaks, 14 / pixel, axis=2, truncate=2)
    return 0.93 * grain / grain.std() + 0.37 * streaks / streaks.std()


def finish_ct(
    rng: np.random.Generator, image: np.ndarray, axes: Axes, noise_hu: float | None
) -> np.ndarray:
    """Add noise, clip to 12 bits, and pad outside the scanner's field of view: int16 HU."""
    level = rng.uniform(10, 20)
    pad = rng.choice([-1024, -2048, -3024], p=[0.4, 0.35, 0.25])
    noise = (level if noise_hu is None else noise_hu) * _noise(rng, image.shape, axes)
    shading = 14 * SmoothField.draw(rng, 70).at(*axes)
    scan = np.rint(np.clip(image + noise + shading, -1024, 3071)).astype(np.int16)
    y, x = axes[1][:, None], axes[2][None, :]
    reach = max(y.max(), x.max())
    scan[:, y**2 + x**2 > (reach * 1.01) ** 2] = pad
    return scan


def finish_mr(
    rng: np.random.Generator, image: np.ndarray, axes: Axes, noise_hu: float | None
) -> np.ndarray:
    """Add a bias field and noise (1 % of the liver for every 3 HU), and scale arbitrarily."""
    bias = np.exp(0.6 * SmoothField.draw(rng, 150).at(*axes))
    level = (rng.uniform(10, 20) if noise_hu is None else noise_hu) / 300
    scale = np.exp(rng.uniform(np.log(120), np.log(1500)))
    noisy = np.abs(image * bias + level * _noise(rng, image.shape, axes))
    return np.rint(np.clip(scale * noisy, 0, 32767)).astype(np.int16)


def draw_file_grid(
    rng: np.random.Generator, spec: PhantomSpec, axes: Axes
) -> tuple[Orientation, np.ndarray]:
    """Draw the axis order of the file, and its affine to RAS+ mm."""
    order, signs = rng.permutation(3), rng.choice([-1, 1], 3)
    tilt = rng.random() < spec.oblique
    angles = np.radians(rng.uniform(-7, 7, 3))
    if spec.axes is not None:
        order, signs = np.array([DIRECTIONS[letter] for letter in spec.axes]).T
    directions = np.eye(4)
    directions[:3, :3] = np.eye(3)[:, order] * signs
    orientation = Orientation.of(directions)
    canonical = np.diag([-(x := axes[2])[1] + x[0], -(y := axes[1])[1] + y[0], 1.0, 1.0])
    canonical[2, 2] = axes[0][1] - axes[0][0]
    canonical[:3, 3] = -x[0], -y[0], axes[0][0]
    if tilt:
        canonical[:3] = _rotation(angles) @ canonical[:3]
    shape = tuple(len(axis) for axis in axes)
    file_shape = orientation.from_canonical(np.empty(shape, bool)).shape
    return orientation, canonical @ np.linalg.inv(
        orientation.canonical_affine(np.eye(4), file_shape)
    )


def _rotation(angles: np.ndarray) -> np.ndarray:
    turns = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        turns = turns @ turn
    return turns
