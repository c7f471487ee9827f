from hypothesis import given
from hypothesis import strategies as st

from liverseg_tf.plan.duration_rules import plan_duration


def _values(*arguments):
    return {one.key: one.value for one in plan_duration(*arguments)}


def test_minutes_replace_epochs(make_fingerprint, make_region):
    fingerprint = make_fingerprint({"liver": make_region()})
    assert _values(fingerprint, False, 8, 12.5) == {"minutes": 12.5}


@given(
    cases=st.integers(1, 60),
    slices=st.integers(1, 3000),
    batch_size=st.sampled_from([2, 4, 8, 12]),
    has_gpu=st.booleans(),
)
def test_epochs_follow_the_number_of_slices(
    make_fingerprint, make_region, cases, slices, batch_size, has_gpu
):
    fingerprint = make_fingerprint({"liver": make_region()}, count=cases, shape=(slices, 64, 64))
    values = _values(fingerprint, has_gpu, batch_size, None)
    steps = values["epochs"] * values["steps-per-epoch"]
    fewest, most = (10_000, 75_000) if has_gpu else (2500, 20_000)
    assert 0.6 * fewest <= steps <= 1.5 * most
    validated = 0.15 * cases * slices / 3  # in units of a tile of a training step
    if values["epochs"] > 1:
        assert validated <= 0.2 * (validated + values["steps-per-epoch"] * batch_size)
