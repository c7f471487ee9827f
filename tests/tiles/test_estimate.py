import pytest

from liverseg_tf.ct.intensity import PercentileRange, Window
from liverseg_tf.dataset.cases import find_cases
from liverseg_tf.dataset.check.check_cases import check_cases
from liverseg_tf.dataset.check.rules import CheckSettings
from liverseg_tf.phantom.phantoms import PhantomSpec, write_phantoms
from liverseg_tf.tiles.case_tiles import cut_case
from liverseg_tf.tiles.estimate import estimate_store
from liverseg_tf.tiles.spec import LIVER_WINDOW, TileSpec
from liverseg_tf.tiles.store import TileStore

pytestmark = pytest.mark.usefixtures("in_this_process")


def make_and_check(folder, shape=(20, 64, 64)):
    spec = PhantomSpec(shape=shape, spacing_mm=(12, 6.5, 7))  # any axis order, some oblique
    write_phantoms(folder, 3, 0, spec)
    cases = find_cases(folder)
    return cases, check_cases(cases, CheckSettings())


@pytest.mark.parametrize(
    "spec",
    [
        TileSpec(),
        TileSpec(spacing_mm=None, tile_shape=None),
        TileSpec(spacing_mm=3, tile_shape=None),
        TileSpec(windows=(LIVER_WINDOW, Window(50, 2000), Window(0, 100)), tile_shape=(96, 128)),
        TileSpec(percentiles=PercentileRange(), spacing_mm=4, tile_shape=(64, 64)),
    ],
)
def test_the_estimated_size_is_the_size_of_the_store(tmp_path, spec):
    cases, checked = make_and_check(tmp_path / "set")
    store = TileStore(tmp_path / "store", spec)
    for case in cases:
        store.write(case.name, cut_case(case, spec))
    written = sum(path.stat().st_size for path in (tmp_path / "store/cases").iterdir())
    estimate = estimate_store(cases, checked, spec)
    assert estimate.store_bytes == pytest.approx(written, rel=0.03)
    assert estimate.seconds > 0
    assert estimate.seconds_with(2) < estimate.seconds_with(1)


def test_memory_grows_with_the_largest_case(tmp_path):
    few, many = (
        estimate_store(*make_and_check(tmp_path / str(slices), (slices, 64, 64)), TileSpec())
        for slices in (10, 30)
    )
    assert many.process_bytes > few.process_bytes
    assert many.store_bytes > few.store_bytes


def test_cases_with_errors_are_left_out(tmp_path):
    cases, checked = make_and_check(tmp_path)
    whole = estimate_store(cases, checked, TileSpec())
    cases[0].mask.write_bytes(b"")
    less = estimate_store(cases, check_cases(cases, CheckSettings()), TileSpec())
    assert less.store_bytes == pytest.approx(whole.store_bytes * 2 / 3, rel=0.01)
    for case in cases:
        case.mask.write_bytes(b"")
    assert estimate_store(cases, check_cases(cases, CheckSettings()), TileSpec()) is None
