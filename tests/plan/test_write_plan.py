import tomllib

import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.plan.setting import Plan, Setting
from liverseg_tf.plan.write_plan import plan_to_toml


def test_values_and_reasons_survive_toml():
    values = ["a=1", 'Leber "links" # \\ = é', "x\x7fy"]
    settings = (
        Setting("region", values[:2], "said by \x1b[2J\n[evil]", ("check", "train")),
        Setting("window", [[25.0, 450.0]], "soft tissue", ("check",)),
        Setting("residual", True, "deep"),
        Setting("layout", values[2], "given"),
    )
    text = plan_to_toml(Plan(settings, ("a note\n[train]",)), "title\n[train]")
    assert tomllib.loads(text) == {
        "check": {"region": values[:2], "window": [[25.0, 450.0]]},
        "train": {"region": values[:2], "residual": True, "layout": values[2]},
    }
    assert "\x1b" not in text


def test_text_that_is_not_utf_8_is_refused():
    plan = Plan((Setting("labelled", ["caf\udce9=liver"], "given"),))
    with pytest.raises(SettingsError, match=r"Received caf\\xe9=liver: rename it"):
        plan_to_toml(plan, "title")
