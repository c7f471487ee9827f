import pytest

from liverseg_tf.plan.machine import Machine
from liverseg_tf.plan.network_rules import plan_network

CPU, GPU = Machine(False, 16e9), Machine(True, 24e9, "bfloat16")


def _estimate(settings):
    """As memory grows with a network: by batch, filters and resolution."""
    return 1.2e8 * settings.batch_size * settings.base_filters / 16 / settings.patch**2 * 4


def _values(fingerprint, machine, minutes=None, tile=(256, 256), estimate=_estimate):
    plan = plan_network(fingerprint, machine, tile, minutes, estimate)
    assert all(one.reason and "\n" not in one.reason for one in plan.settings)
    return {one.key: one.value for one in plan.settings}, plan.notes


def test_the_recipes_of_the_presets(make_fingerprint, make_region):
    fingerprint = make_fingerprint({"liver": make_region()})
    fast, notes = _values(fingerprint, CPU, 15)
    assert fast == {
        "context": 3,
        "context-spacing-mm": 4.0,
        "patch": 2,
        "base-filters": 16,
        "batch-size": 8,
        "foreground-fraction": 0.67,
    }
    assert notes == ()
    accurate, _ = _values(fingerprint, GPU)
    assert (accurate["context"], accurate["base-filters"], accurate["batch-size"]) == (5, 32, 12)
    assert (accurate["residual"], accurate["deep-supervision"], accurate["patch"]) == (True, 3, 1)
    assert "foreground-fraction" not in accurate
    assert _values(fingerprint, GPU, 5)[0] == fast, "few minutes"


def test_a_rare_region_is_drawn_more_often(make_fingerprint, make_region):
    regions = {"liver": make_region(), "adrenal": make_region(slices=9)}
    assert _values(make_fingerprint(regions), GPU)[0]["foreground-fraction"] == 0.67


@pytest.mark.parametrize(("gigabytes", "batch_size"), [(3, 8), (1, 4), (0.5, 2)])
def test_the_batch_fits_into_the_memory(make_fingerprint, make_region, gigabytes, batch_size):
    fingerprint = make_fingerprint({"liver": make_region()})
    values, notes = _values(fingerprint, Machine(False, gigabytes * 1e9))
    assert values["batch-size"] == batch_size
    assert notes == ()


def test_what_does_not_fit_is_said(make_fingerprint, make_region):
    fingerprint = make_fingerprint({"liver": make_region()})
    values, (note,) = _values(fingerprint, Machine(False, 0.1e9))
    assert (values["batch-size"], values["base-filters"]) == (2, 8)
    assert "use a larger --spacing" in note


def test_thick_slices_and_flat_volumes_have_no_context(make_fingerprint, make_region):
    regions = {"liver": make_region()}
    thick = make_fingerprint(regions, spacing_mm=(12.0, 0.8, 0.8))
    flat = make_fingerprint(regions, shape=(1, 512, 512))
    for fingerprint in (thick, flat):
        values, _ = _values(fingerprint, CPU)
        assert values["context"] == 1
        assert "context-spacing-mm" not in values


def test_small_tiles_get_fewer_levels(make_fingerprint, make_region):
    fingerprint = make_fingerprint({"liver": make_region()})
    assert "depth" not in _values(fingerprint, CPU, tile=(96, 256))[0]
    assert _values(fingerprint, CPU, tile=(64, 64))[0]["depth"] == 3
