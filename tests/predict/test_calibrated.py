import numpy as np

from liverseg_tf.ct.volume import Volume
from liverseg_tf.predict.calibrated import CalibratedProbabilities
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.tiles.transform import TileTransform


def test_certain_voxels_stay_certain_on_a_coarser_grid():
    """The weights of the resampling may add up to a little more than 1."""
    image = Volume(np.zeros((1, 182, 182), np.int16), np.diag([-2.835, -2.835, 3.0, 1.0]))
    transform = TileTransform.for_volume(image, TileSpec(spacing_mm=1.394, tile_shape=None))
    ones = np.ones((1, *transform.shape, 1), np.float32)
    assert transform.values_to_native(ones[..., 0]).max() > 1
    array = np.zeros((1, *image.array.shape), np.uint8)
    CalibratedProbabilities(array, (2.0,), image.affine).restore(ones, range(1), transform)
    assert (array == 255).all()
