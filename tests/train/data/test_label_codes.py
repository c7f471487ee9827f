import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.data.label_codes import LabelCodes


@pytest.mark.parametrize(
    ("labels", "bits"),
    [
        ([], 1),
        ([1], 1),
        ([7], 1),
        ([1, 2], 2),
        ([1, 2, 200], 2),
        ([1, 2, 3, 4], 4),
        (range(200), 8),
    ],
)
def test_masks_are_restored_from_as_few_bits_as_the_labels_need(labels, bits):
    values = np.array([0, *labels], np.uint8)
    mask = np.random.default_rng(0).choice(values, (3, 5, 7))  # 35 pixels fill no whole bytes
    codes = LabelCodes(labels, 35)
    packed = codes.pack(mask, "a")
    assert packed.shape == (3, codes.packed_bytes)
    assert codes.packed_bytes == -(-35 * bits // 8)
    restored = np.asarray(codes.unpack(packed))
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored.reshape(mask.shape), mask)


def test_a_label_that_no_record_names_is_refused():
    mask = np.array([[[0, 1], [9, 1]]], np.uint8)
    with pytest.raises(
        LiverSegError, match=r"labels 0, 1, 2 in the case a, as .* say\. Received 9: preprocess"
    ):
        LabelCodes([2, 1], 4).pack(mask, "a")


def test_all_labels_can_occur_at_once():
    mask = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    codes = LabelCodes(range(256), 256)
    np.testing.assert_array_equal(
        np.asarray(codes.unpack(codes.pack(mask, "a"))), mask.reshape(1, -1)
    )
