import numpy as np

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.region_masks import RegionMasks

REGIONS = Regions({"liver": (1, 2), "tumour": (2,), "spleen": (3,)})


def test_some_regions_hold_the_voxels_of_their_labels_in_the_whole_map():
    combinations = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    agreement = {"liver": 0.9, "tumour": None, "spleen": 0.5}
    masks = RegionMasks(combinations, REGIONS, Volume(combinations, np.eye(4)), None, agreement)
    whole = masks.labels().array
    for names in (["liver"], ["spleen", "liver"], ["tumour"], ["liver", "tumour"]):
        some = masks.only(names)
        labels = some.labels().array
        for name in names:
            np.testing.assert_array_equal(
                some.regions.mask(labels, name), REGIONS.mask(whole, name)
            )
        assert set(some.agreement) == set(names)
    assert masks.only(["liver"]).labels().array.max() == 1
