import pytest

from liverseg_tf.choices import PRECISIONS
from liverseg_tf.model.precision import Device, choose_prediction_precision


@pytest.mark.parametrize("trained", PRECISIONS)
def test_cpus_predict_in_bfloat16_if_they_multiply_it_and_the_run_was_trained_in_it(trained):
    assert choose_prediction_precision(trained, Device()) == "float32"
    expected = "bfloat16" if trained == "bfloat16" else "float32"
    assert choose_prediction_precision(trained, Device(has_bfloat16=True)) == expected


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
