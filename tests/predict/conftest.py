"""Predictors whose answers are known."""

import shutil

import keras
import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.predict.postprocess import PostProcessing
from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.run import Run
from liverseg_tf.train.unet import UNetSpec, build_unet

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
    """Liver above -70 HU, tumour above 150 HU, by the middle slice of the context."""

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


@pytest.fixture(scope="session")
def built_run(tmp_path_factory):
    network = NetworkSpec(TileSpec(spacing_mm=3.0), LIVER_REGIONS, 3, 8)
    run = Run.create(tmp_path_factory.mktemp("built") / "run")
    split = {"train": ["a"], "val": ["b"], "test": ["c"]}
    run.write_record(network, store={"split": split})
    keras.utils.set_random_seed(0)
    run.save_model(build_unet(UNetSpec(3, network.regions.names, base_filters=4, depth=3)))
    return run.folder


@pytest.fixture
def untrained_run(built_run, tmp_path):
    """A run as training writes it, with weights that were never trained."""
    return shutil.copytree(built_run, tmp_path / "run")


@pytest.fixture(params=GRIDS)
def dicom_affine(request):
    """Affines of CTs that lie in every way in which series are stored."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(GRIDS[request.param]).T * (0.75, 0.8, 2.5)
    affine[:3, 3] = -120.5, 33.25, 800
    return affine


@pytest.fixture
def write_dicom(write_series):
    """A function: folder, volume and header values to a series that others can refer to.

    Its files are shuffled; their stored values are HU + 1024.
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
