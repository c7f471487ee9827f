"""What is taken away from a predicted label map."""

import numpy as np
from scipy import ndimage

from liverseg_tf.ct.regions import Regions


def keep_largest(labels: np.ndarray, regions: Regions, names: tuple[str, ...]) -> np.ndarray:
    """Keep the largest connected component (26 neighbours) of some regions.

    What lies within a removed part goes with it: with the liver's small components go the
    tumours in them.

    Args:
        labels: (z, row, col) uint8.
        regions: what the labels mean.
        names: of the regions that are one piece.

    Returns:
        (z, row, col) uint8; an empty region stays empty.

    Raises:
        SettingsError: when a name is no region.
    """
    regions.check_names(names)
    masks = {name: regions.mask(labels, name) for name in regions.names}
    for name in names:
        removed = masks[name] & ~_largest_component(masks[name])
        for inner, of in regions.items:
            if set(of) <= set(dict(regions.items)[name]):
                masks[inner] &= ~removed
    return regions.labels_of(np.stack(list(masks.values()), axis=-1))


def _largest_component(mask: np.ndarray) -> np.ndarray:
    """(z, row, col) bool; of equally large components the first in array order."""
    components, count = ndimage.label(mask, np.ones((3, 3, 3)))
    if count < 2:
        return mask
    sizes = np.bincount(components.reshape(-1))
    sizes[0] = 0
    return components == sizes.argmax()
