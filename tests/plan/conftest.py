import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.plan.fingerprint import CaseFingerprint, Fingerprint, RegionFingerprint


@pytest.fixture(scope="session")
def make_region():
    """A function: changes to the fingerprint of a liver in one case."""

    def make(**changes):
        values = {
            "volume_ml": 1600.0,
            "extent_mm": (200.0, 180.0, 240.0),
            "reach_mm": (100.0, 160.0),
            "slices": 50,
            "width_mm": 70.0,
            "components": 1,
            "percentiles": (-20.0, 60.0, 100.0, 140.0, 190.0),
        }
        return RegionFingerprint(**values | changes)

    return make


@pytest.fixture(scope="session")
def make_fingerprint():
    """A function: regions of each case, and changes to a case of abdominal CT."""

    def make(regions, named=None, count=20, has_hu=True, **changes):
        values = {
            "shape": (120, 512, 512),
            "spacing_mm": (2.5, 0.8, 0.8),
            "voxel_bytes": 2,
            "body_mm": (260.0, 370.0),
            "clipped_hu": (None, None),
            "known_slices": 120,
            "labelled": tuple(regions),
        }
        named = named or Regions({name: (i,) for i, name in enumerate(regions, 1)})
        cases = [
            CaseFingerprint(f"case_{i}", regions=regions, **values | changes) for i in range(count)
        ]
        return Fingerprint(tuple(cases), named, has_hu)

    return make
