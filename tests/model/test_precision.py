import pytest

from liverseg_tf.choices import PRECISIONS
from liverseg_tf.model.precision import Device, choose_prediction_precision


@pytest.mark.parametrize("trained", PRECISIONS)
def test_cpus_predict_in_float32(trained):
    assert choose_prediction_precision(trained, Device()) == "float32"


@pytest.mark.parametrize(
    ("trained", "capability", "expected"),
    [
        ("float32", (9, 0), "float32"),
        ("float16", (9, 0), "float16"),
        ("float16", (7, 0), "float16"),
        ("float16", (6, 1), "float32"),
        ("bfloat16", (9, 0), "bfloat16"),
        ("bfloat16", (8, 0), "bfloat16"),
        ("bfloat16", (7, 5), "float32"),  # float16 would overflow
        ("bfloat16", None, "bfloat16"),
        ("float32", None, "float32"),
    ],
)
def test_gpus_predict_in_the_precision_of_the_training_if_they_have_it(
    trained, capability, expected
):
    assert choose_prediction_precision(trained, Device(True, capability)) == expected
