import sys
from types import SimpleNamespace

import keras
import pytest

from liverseg_tf.errors import SettingsError
from liverseg_tf.model import precision as cpu
from liverseg_tf.train.learner import hardware
from liverseg_tf.train.learner.execution import check_backend_has_hosts
from liverseg_tf.train.learner.hardware import Hardware, choose_hardware


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("fma avx2 avx512_bf16", "bfloat16"),
        ("amx_bf16 avx2", "bfloat16"),
        ("fma avx2 avx512f", "float32"),
        (None, "float32"),
    ],
)
def test_a_cpu_with_bfloat16_instructions_uses_bfloat16(tmp_path, monkeypatch, flags, precision):
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"model name\t: x\nflags\t\t: fpu {flags} sse\n\nflags : other\n")
    monkeypatch.setattr(cpu, "_CPUINFO", path)
    assert choose_hardware() == Hardware(precision, False)


def test_given_options_override_the_automatic_choice():
    assert choose_hardware("float16", True) == Hardware("float16", True)
    assert choose_hardware("float32").policy == "float32"
    assert Hardware("bfloat16").policy == "mixed_bfloat16"
    with pytest.raises(SettingsError, match="Received float8"):
        choose_hardware("float8")


def test_options_that_jax_would_ignore_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(SettingsError, match=r"--xla .* compiles every step\. Received --no-xla"):
        choose_hardware(compiled=False)
    with pytest.raises(SettingsError, match=r"backend tensorflow together with --hosts"):
        check_backend_has_hosts()


@pytest.mark.parametrize(
    ("capability", "triton", "expected"),
    [
        ((9, 0), True, Hardware("bfloat16", True)),
        ((8, 6), False, Hardware("bfloat16", False)),  # as on Windows
        ((7, 5), True, Hardware("float16", True)),
        ((6, 1), True, Hardware("float32", False)),
    ],
)
def test_torch_compiles_where_its_compiler_is(monkeypatch, capability, triton, expected):
    cuda = SimpleNamespace(is_available=lambda: True, get_device_capability=lambda: capability)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    monkeypatch.setattr(hardware, "find_spec", lambda name: "found" if triton else None)
    assert choose_hardware() == expected
