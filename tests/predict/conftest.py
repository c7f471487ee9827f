"""Predictors with known results, and DICOM series."""

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec

TURN = nib.eulerangles.euler2mat(0.2, -0.1, 0.15)
GRIDS = {  # direction of columns, rows and slices in RAS
    "axial": [(-1, 0, 0), (0, -1, 0), (0, 0, 1)],
    "reversed": [(-1, 0, 0), (0, -1, 0), (0, 0, -1)],
    "rows flipped": [(-1, 0, 0), (0, 1, 0), (0, 0, 1)],
    "columns flipped": [(1, 0, 0), (0, -1, 0), (0, 0, 1)],
    "both flipped": [(1, 0, 0), (0, 1, 0), (0, 0, -1)],
    "coronal": [(-1, 0, 0), (0, 0, -1), (0, -1, 0)],
    "sagittal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
    "oblique": [*(TURN @ ((-1, 0, 0), (0, -1, 0), (0, 0, 1))).T],
    "oblique, flipped": [*(TURN @ ((1, 0, 0), (0, -1, 0), (0, 0, -1))).T],
}


class BrightIsLiver:
    """Predicts liver above -70 HU and tumour above 150 HU, from the middle slice of the context."""

    def __init__(self, spacing_mm=None, context=1, stride=16, tile=256):
        tiles = TileSpec(spacing_mm=spacing_mm, tile_shape=tile and (tile, tile))
        self.network = NetworkSpec(tiles, LIVER_REGIONS, context, stride)
        self.postprocessing = PostProcessing()
        self.fingerprint = "bright"
        self.shapes = set()

    def probabilities(self, tiles):
        self.shapes.add(tiles.shape)
        middle = tiles[..., self.network.context // 2].astype(np.float32)
        return np.stack([middle > 74, middle > 198], axis=-1).astype(np.float32)


@pytest.fixture
def bright_is_liver():
    return BrightIsLiver


@pytest.fixture(params=GRIDS)
def dicom_affine(request):
    """Affine of a CT, for every orientation in which series are stored."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(GRIDS[request.param]).T * (0.75, 0.8, 2.5)
    affine[:3, 3] = -120.5, 33.25, 800
    return affine


@pytest.fixture
def write_dicom(write_series):
    """Return a function that writes a volume as a DICOM series with the given header values.

    Its file names are shuffled, and its stored values are HU + 1024.
    """

    def write(folder, volume, **values):
        def edit(dataset, z):
            dataset.FrameOfReferenceUID = "1.2.3.5"
            for keyword, value in values.items():
                setattr(dataset, keyword, value)

        write_series(folder, volume, edit)
        for place, file in zip(
            np.random.default_rng(0).permutation(len(volume.array)),
            sorted(folder.iterdir()),
            strict=True,
        ):
            file.rename(folder / f"IMG{place}")
        return folder

    return write
