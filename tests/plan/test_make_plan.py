import click
import pytest

from liverseg_tf.cli.main import liverseg
from liverseg_tf.cli.shared.config import load_defaults
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.plan.machine import Machine
from liverseg_tf.plan.make_plan import Host, make_plan
from liverseg_tf.plan.write_plan import plan_to_toml

HOST = Host(cores=8, memory_bytes=64e9)


def _estimate(spec, settings):
    return 1e7 * settings.batch_size * settings.base_filters


@pytest.fixture
def livers(make_fingerprint, make_region):
    regions = {"liver": make_region(), "tumour": make_region(slices=10, width_mm=12)}
    return make_fingerprint(regions, LIVER_REGIONS)


@pytest.mark.parametrize("has_hu", [True, False])
@pytest.mark.parametrize(
    "machine", [Machine(False, 16e9), Machine(True, 40e9), Machine(True, None)]
)
@pytest.mark.parametrize("minutes", [None, 20])
def test_every_setting_is_an_option_of_its_commands(
    tmp_path, make_fingerprint, make_region, has_hu, machine, minutes
):
    fingerprint = make_fingerprint({"liver": make_region()}, has_hu=has_hu)
    host = Host(8, 1e9)  # few workers
    plan = make_plan(fingerprint, machine, host, _estimate, minutes, channel=1)
    assert plan == make_plan(fingerprint, machine, host, _estimate, minutes, channel=1)
    path = tmp_path / "plan.toml"
    path.write_text(plan_to_toml(plan, "title"))
    given = load_defaults(path, liverseg, click.Context(liverseg))
    assert given.keys() == {"check", "preprocess", "train", "crossval", "evaluate", "view"}
    assert given["preprocess"].keys() >= {"regions", "spacing", "tile", "channel", "workers"}
    assert ("minutes" in given["train"]) == (minutes is not None)


def test_the_reason_of_the_regions(livers):
    plan = make_plan(livers, Machine(False, 16e9), HOST, _estimate)
    (regions,) = (one for one in plan.settings if one.key == "region")
    assert regions.value == ["liver=1,2", "tumour=2"]
    assert regions.reason == "liver with tumour in 20 cases; tumour in 20 cases"
    assert plan.notes == ()


def test_workers_share_the_memory(livers):
    def workers(gigabytes):
        return make_plan(livers, Machine(False, 16e9), Host(8, gigabytes * 1e9), _estimate).value(
            "workers"
        )

    assert workers(64) is workers(float("inf")) is None
    few = [workers(gigabytes) for gigabytes in (0.1, 1, 2)]
    assert few == sorted(few)
    assert 1 == few[0] < few[2] < 8


def test_few_cases_are_noted(make_fingerprint, make_region):
    fingerprint = make_fingerprint({"liver": make_region()}, count=4)
    (note,) = make_plan(fingerprint, Machine(False, 16e9), HOST, _estimate).notes
    assert note.startswith("4 cases give hardly any")
