"""Data augmentation of whole batches in Keras operations; image and mask stay aligned."""

import numpy as np
from keras import ops, tree

from liverseg_tf.train.data.acquisition import apply_bias_field, mix_slices
from liverseg_tf.train.data.chosen_tiles import transform_chosen
from liverseg_tf.train.data.correlated_noise import add_grain
from liverseg_tf.train.data.draws import AugmentationDraws
from liverseg_tf.train.data.intensity import blur, change_intensity, expand, reduce_resolution
from liverseg_tf.train.data.noise import make_noise
from liverseg_tf.train.data.region_blobs import add_blobs
from liverseg_tf.train.data.region_convolution import convolve_regions
from liverseg_tf.train.data.region_transforms import apply_curves, shift_regions
from liverseg_tf.train.data.table_and_arms import add_table_and_arms
from liverseg_tf.train.data.warp import warp_tiles


def augment_batch(image, mask, draws: AugmentationDraws, groups: np.ndarray):
    """Apply spatial and intensity transforms to a batch.

    The spatial transforms are those of `warp_tiles`. The intensity transforms follow in the order
    in which a scan arises: the patient (intensities of the regions, table and arms), the scanner
    (thick slices, blur, low resolution, drift, contrast, brightness and gamma, noise), and the file
    (clipped values). They run on any backend, on the device on which the network is trained, and
    give the same result everywhere.

    Args:
        image: (tiles, h, w, channels) uint8.
        mask: (tiles, h, w, 1) uint8 labels.
        draws: Parameters of the transforms, different for each tile.
        groups: (256,) int32 group of each value of the mask, from `region_groups`.

    Returns:
        Image (tiles, h, w, channels) float32 in 0..255, and mask (tiles, h, w, 1) uint8.
    """
    draws = tree.map_structure(ops.convert_to_tensor, draws)
    image, mask = warp_tiles(image, mask, draws.matrix, draws.control_points)
    image = _change_regions(image / 255, mask, draws, groups)
    for chosen, transform in (
        (draws.table_and_arms, add_table_and_arms),
        (draws.thick_slices, mix_slices),
        (draws.blur, blur),
        (draws.resolution, reduce_resolution),
    ):
        if chosen:
            image = transform_chosen(image, chosen, transform)
    if _has(draws.bias_field):
        image = apply_bias_field(image, draws.bias_field)
    image = change_intensity(image, draws.contrast, draws.brightness, draws.gamma)
    if draws.grain:
        image = transform_chosen(image, draws.grain, add_grain)
    if _has(draws.noise_key):
        image = image + expand(draws.noise_std) * make_noise(draws.noise_key, image.shape[1:])
    low, high = (expand(draws.limits[n]) for n in range(2)) if _has(draws.limits) else (0, 1)
    return ops.clip(image, low, high) * 255, mask


def _has(parameters) -> bool:
    """Whether a transform with one array of parameters is used."""
    return not isinstance(parameters, tuple)


def _change_regions(image, mask, draws: AugmentationDraws, groups: np.ndarray):
    """Apply the transforms that know the regions; see `augment_batch`."""
    network = draws.region_convolution
    if not any([draws.region_blobs, draws.region_shift, draws.region_curves, network]):
        return image
    regions = ops.take(ops.convert_to_tensor(groups), ops.cast(mask, "int32"), axis=0)
    if draws.region_blobs:
        image = transform_chosen(image, draws.region_blobs, add_blobs, regions)
    if draws.region_shift:
        image = transform_chosen(image, draws.region_shift, shift_regions, regions)
    if draws.region_curves:
        image = transform_chosen(image, draws.region_curves, apply_curves, regions)
    if network:

        def convolve(tiles, shares, regions):
            return convolve_regions(tiles, network, shares, regions)

        image = transform_chosen(image, network.chosen, convolve, regions)
    return image
