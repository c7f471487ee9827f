import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.ct.volume import Volume
from liverseg_tf.evaluate import score_case as module
from liverseg_tf.evaluate.pairs import Pair
from liverseg_tf.evaluate.protocols.scoring import Scoring
from liverseg_tf.evaluate.score_case import score_case, score_masks

AFFINE = np.diag([1.0, 2.0, 5.0, 1.0])  # 0.01 ml per voxel, RAS


def labels(liver=6, tumour=2):
    array = np.zeros((3, 4, 5), np.uint8)
    array.flat[:liver] = 1
    array.flat[:tumour] = 2
    return Volume(array, AFFINE)


def test_masks_in_different_axis_orders():
    truth = labels(17, 4)
    canonical = to_canonical(truth)
    assert [result.overlap.dice for result in score_masks("a", truth, canonical, LIVER_REGIONS)]
    image = nib.Nifti1Image(truth.array.T, AFFINE).as_reoriented([[2, -1], [0, 1], [1, -1]])
    reoriented = Volume(np.asarray(image.dataobj).T, image.affine)
    for result in score_masks("a", truth, reoriented, LIVER_REGIONS):
        assert result.overlap.dice == 1.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("read_labels", "Not enough memory to read the masks of case a: use fewer workers."),
        (
            "score_masks",
            "Not enough memory to score the masks of case a (needs up to about 0.2 GB): "
            "use fewer workers.",
        ),
    ],
)
def test_missing_memory_is_a_failure(tmp_path, monkeypatch, function, message):
    def fail(*arguments):
        raise MemoryError

    path = tmp_path / "a.nii.gz"
    write_labels(path, labels())
    monkeypatch.setattr(module, function, fail)
    result = score_case(Pair("a", path, path), Scoring())
    assert result.failure == message
    assert result.regions == ()


def test_memory_estimate_of_a_large_ct():
    # 512 x 512 x 200 voxels, bounding box 300 x 250 x 120
    assert module._estimate_memory_gb(512 * 512 * 200, 300 * 250 * 120) == pytest.approx(0.88, 0.01)
