import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.errors import LiverSegError
from liverseg_tf.tiles.case_tiles import cut_tiles
from liverseg_tf.tiles.spec import TileSpec

PADDED = TileSpec(spacing_mm=1.6, tile_shape=(32, 32))  # larger than the slices
COS, SIN = np.cos(0.2), np.sin(0.2)
OBLIQUE = np.array([[-COS, 0, -SIN, 0], [0, -1, 0, 0], [SIN, 0, -COS, 0], [0, 0, 0, 1]])
OBLIQUE = OBLIQUE @ np.diag([0.8, 0.8, 5, 1])
LIST = Annotation(ignored=255, slices=SliceList.parse("1,3-4"), ignored_is_chosen=True)


@pytest.mark.parametrize("affine", [None, OBLIQUE], ids=["upwards", "downwards and oblique"])
def test_slices_that_are_not_listed_are_unknown_also_in_the_padding(make_volumes, affine):
    image, mask = make_volumes(affine=affine)
    whole, tiles = cut_tiles(image, mask, PADDED), cut_tiles(image, mask, PADDED, LIST)
    listed = [1, 3, 4] if affine is None else [1, 2, 4]  # the file runs from superior to inferior
    others = sorted(set(range(6)) - set(listed))
    np.testing.assert_array_equal(tiles.mask[listed], whole.mask[listed])
    assert (np.asarray(tiles.mask)[others] == 255).all()
    np.testing.assert_array_equal(tiles.image, whole.image)
    record = tiles.record
    assert record["slices_with"]["255"] == others
    labels = to_canonical(mask).array[listed]
    assert record["labels"]["1"] == (labels == 1).sum()
    assert record["labels"]["255"] == 3 * 20 * 24
    assert record["labelled_outside"] == 0
    assert (mask.array != 255).all()  # the volume itself is unchanged
    mask.array[[0, 2, 5]] = 2  # whatever is drawn on the other slices
    assert cut_tiles(image, mask, PADDED, LIST).record == record


def test_a_mask_that_contains_the_chosen_label_is_refused(make_volumes):
    image, mask = make_volumes()
    mask.array[3, 0, 0] = 255
    with pytest.raises(LiverSegError, match="without the label 255, which marks the slices"):
        cut_tiles(image, mask, PADDED, LIST)
    named = Annotation(ignored=255, slices=LIST.slices)
    assert cut_tiles(image, mask, PADDED, named).record["labels"]["255"] == 3 * 20 * 24 + 1
