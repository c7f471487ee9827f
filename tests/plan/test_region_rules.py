import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.plan.region_rules import nest_lesions


@pytest.mark.parametrize(
    ("names", "nested"),
    [
        (["liver", "cancer"], {"liver": (1, 2), "cancer": (2,)}),
        (["kidney", "tumor", "cyst"], {"kidney": (1, 2, 3), "tumor": (2,), "cyst": (3,)}),
        (["liver", "spleen", "tumour"], None),  # whose tumour?
        (["PZ", "TZ"], None),
        (["tumour"], None),
    ],
)
def test_an_organ_includes_its_lesions(names, nested):
    regions = Regions({name: (label,) for label, name in enumerate(names, 1)})
    assert nest_lesions(regions) == (regions if nested is None else Regions(nested))
