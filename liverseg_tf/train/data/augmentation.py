"""Data augmentation of whole batches in Keras operations; image and mask stay aligned."""

from keras import ops, tree

from liverseg_tf.train.data.draws import AugmentationDraws
from liverseg_tf.train.data.intensity import (
    blur,
    change_intensity,
    expand,
    make_noise,
    reduce_resolution,
    transform_chosen,
)
from liverseg_tf.train.data.warp import warp_tiles


def augment_batch(image, mask, draws: AugmentationDraws):
    """Apply spatial and intensity transforms to a batch.

    The spatial transforms are those of `warp_tiles`. The intensity transforms are blur, low
    resolution, contrast, brightness, gamma and noise, in this order. They run on any backend, on
    the device on which the network is trained, and give the same result everywhere.

    Args:
        image: (tiles, h, w, channels) uint8.
        mask: (tiles, h, w, 1) uint8 labels.
        draws: Parameters of the transforms, different for each tile.

    Returns:
        Image (tiles, h, w, channels) float32 in 0..255, and mask (tiles, h, w, 1) uint8.
    """
    draws = tree.map_structure(ops.convert_to_tensor, draws)
    image, mask = warp_tiles(image, mask, draws.matrix, draws.control_points)
    image = transform_chosen(image / 255, draws.blur, blur)
    image = transform_chosen(image, draws.resolution, reduce_resolution)
    image = change_intensity(image, draws.contrast, draws.brightness, draws.gamma)
    image = image + expand(draws.noise_std) * make_noise(draws.noise_key, image.shape[1:])
    return ops.clip(image, 0, 1) * 255, mask
