import numpy as np
import pytest
from skimage import measure

from liverseg_tf.ct.components import filter_components, label_components

NOISE = np.random.default_rng(0).random((9, 20, 24)) < 0.15
NOISE[0] = NOISE[:, :2] = False  # the bounding box is smaller than the mask


@pytest.mark.parametrize(("connectivity", "rank"), [(6, 1), (26, 3)])
def test_components_agree_with_scikit_image(connectivity, rank):
    components = label_components(NOISE, connectivity)
    theirs = measure.label(NOISE, connectivity=rank)
    assert components.count == theirs.max() > 10
    np.testing.assert_array_equal(components.labels, theirs[components.box])
    assert NOISE[components.box].sum() == NOISE.sum()
    properties = measure.regionprops(theirs)
    assert components.sizes.tolist() == [0, *(int(one.num_pixels) for one in properties)]
    within = measure.regionprops(theirs[components.box])
    assert components.boxes == [one.slice for one in within]
    values = np.random.default_rng(1).random(NOISE.shape)
    expected = [0, *(values[theirs == number].mean() for number in range(1, theirs.max() + 1))]
    np.testing.assert_allclose(components.means(values), expected)


def test_the_default_is_26_neighbours():
    assert label_components(NOISE).count == label_components(NOISE, 26).count


def test_a_part_of_a_mask():
    box = np.s_[2:8, 3:15, 5:20]
    components = label_components(NOISE, 6, box)
    np.testing.assert_array_equal(components.labels, measure.label(NOISE[box], connectivity=1))
    assert components.box == box


def test_the_largest_come_first():
    mask = np.zeros((4, 9, 12), bool)
    mask[1, 2, 2] = mask[3, 8, 8:10] = mask[1, 5, 5:7] = True
    mask[1:3, 2:4, 8:11] = True
    listed = list(label_components(mask).largest_first())
    assert [int(part.sum()) for _, part in listed] == [12, 2, 2, 1]
    assert [box for box, _ in listed] == [  # the second and third in array order
        np.s_[1:3, 2:4, 8:11], np.s_[1:2, 5:6, 5:7], np.s_[3:4, 8:9, 8:10], np.s_[1:2, 2:3, 2:3],
    ]  # fmt: skip
    for box, part in listed:
        assert mask[box][part].all()
    assert len(list(label_components(mask).largest_first(2))) == 2
    np.testing.assert_array_equal(
        label_components(mask).largest(), label_components(mask).sizes == 12
    )


def test_an_empty_mask_has_no_components():
    empty = np.zeros((2, 3, 4), bool)
    components = label_components(empty)
    assert components.count == 0
    assert components.sizes.tolist() == [0]
    assert components.boxes == list(components.largest_first()) == []
    assert not filter_components(empty, lambda parts: parts.largest()).any()


def test_components_are_kept_by_a_condition():
    kept = filter_components(NOISE, lambda parts: parts.sizes >= 3, connectivity=6)
    theirs = measure.label(NOISE, connectivity=1)
    sizes = np.bincount(theirs.ravel())
    np.testing.assert_array_equal(kept, NOISE & (sizes[theirs] >= 3))
    everything = filter_components(NOISE, lambda parts: parts.sizes >= 0)
    np.testing.assert_array_equal(everything, NOISE)


@pytest.mark.parametrize("count", [65535, 65536])
def test_more_components_than_two_bytes_number(count):
    mask = np.zeros((1, 1, 2 * count), bool)
    mask[..., ::2] = True
    components = label_components(mask, 6)
    assert components.count == components.labels.max() == count
    assert set(components.sizes[1:]) == {1}
