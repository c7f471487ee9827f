import functools

import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.model.custom_code import CodeOrigin, check_same_code, describe_code, to_json


def loss_a(truth, found):
    return truth - found


def loss_b(truth, found):
    return found - truth


class Configured:
    def __init__(self, value):
        self.value = value

    def get_config(self):
        return {"value": self.value}


def test_a_function_is_known_by_its_path_and_source():
    origin = describe_code(loss_a)
    assert origin.import_path.endswith("test_custom_code.loss_a")
    assert len(origin.source_hash) == 32
    assert origin == describe_code(loss_a)
    assert origin.source_hash != describe_code(loss_b).source_hash


def test_an_object_is_known_by_its_class_and_configuration():
    assert describe_code(Configured(1)).import_path.endswith("test_custom_code.Configured")
    assert describe_code(Configured(1)) == describe_code(Configured(1))
    assert describe_code(Configured(1)) != describe_code(Configured(2))


def test_code_without_a_source_has_no_checksum():
    typed: dict = {"__name__": "shell"}
    exec("def typed(x): return x", typed)
    assert describe_code(typed["typed"]) == CodeOrigin("shell.typed")
    first, second = (functools.partial(loss_a, truth=value) for value in (1, 2))
    assert describe_code(first).import_path.endswith(".loss_a")
    assert describe_code(first) != describe_code(second)


def test_other_code_is_refused_and_shown_safely():
    recorded = {"loss": CodeOrigin("a.b\x1b[2J", "0123456789abcdef")}
    check_same_code(recorded, dict(recorded), "RUN")
    check_same_code({}, {}, "RUN")
    with pytest.raises(SettingsError, match=r"RUN the same loss .*a\.b\\x1b\[2J \(01234567\)") as e:
        check_same_code(recorded, {}, "RUN")
    assert "Received none of your own" in str(e.value)
    with pytest.raises(SettingsError, match=r"Received shell\.f"):
        check_same_code(recorded, {"loss": CodeOrigin("shell.f")}, "RUN")
    assert to_json(recorded)["loss"]["source_hash"] == "0123456789abcdef"
