"""An organ with a vessel, beside another organ, in a volume whose file has flipped axes."""

import numpy as np
import pytest

from liverseg_tf.ct.volume import Volume

SHAPE, SPACING = (24, 64, 64), (4.0, 2.0, 2.0)
LEVEL = 110


def make_organ(level: int = LEVEL, seed: int = 0) -> tuple[Volume, Volume]:
    """An ellipsoid of 84 x 100 x 104 mm (label 1) in fat, a bright vessel in it, and a label 3."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[:24, :64, :64]
    organ = ((z - 12) / 10.5) ** 2 + ((y - 32) / 25) ** 2 + ((x - 32) / 26) ** 2 < 1
    labels = organ.astype(np.uint8)
    labels[2:5, 2:8, 2:8] = 3
    values = np.where(organ, level, -90) + rng.normal(0, 10, SHAPE)
    values[:, 30:34, 40:44] += 60 * organ[:, 30:34, 40:44]
    affine = np.array([[-2.0, 0, 0, 60], [0, 2, 0, -70], [0, 0, -4, 30], [0, 0, 0, 1]])
    return Volume(np.rint(values).astype(np.int16), affine), Volume(labels, affine)


@pytest.fixture(scope="session")
def organ():
    """Image and labels."""
    return make_organ()
