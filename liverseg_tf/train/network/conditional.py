"""Regions that are learnt where the regions that contain them are: lesions inside an organ.

A lesion is about a thousandth of a tile, but a few hundredths of its organ. When all pixels of the
tiles counted in the loss, networks had found no faint lesions after thousands of steps.
"""

from keras import ops


def product_of_outer(values, inside: tuple[tuple[int, ...], ...]):
    """Multiply, for each region, the values of the regions that contain it.

    With probabilities, it is the factor from a conditional probability, that of a lesion where the
    organ is, to the probability of the lesion. With the ground truth, it is 1 where a conditional
    region is learnt, and 0 elsewhere.

    Args:
        values: (batch, h, w, regions) float32.
        inside: See `UNetSpec`. Regions beyond its length are in no other one.

    Returns:
        (batch, h, w, regions) float32; 1 for a region that no other one contains.
    """
    count = values.shape[-1]
    outer = [*inside, *[()] * (count - len(inside))]
    # one more channel, of ones, for the regions that no other one contains
    padded = ops.pad(values, [(0, 0), (0, 0), (0, 0), (0, 1)], constant_values=1.0)
    levels = max(map(len, outer))
    factors = [
        ops.take(padded, [one[level] if level < len(one) else count for one in outer], axis=-1)
        for level in range(levels)
    ]
    product = factors[0]
    for factor in factors[1:]:
        product = product * factor
    return product
