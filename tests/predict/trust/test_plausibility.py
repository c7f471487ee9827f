from dataclasses import replace

import numpy as np
import pytest

from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.region_masks import RegionMasks, labels_to_bits
from liverseg_tf.model.training_range import RegionRange, TrainingRange
from liverseg_tf.predict.models.ensemble import Ensemble, MirroredPredictor
from liverseg_tf.predict.trust.judge import judge_masks
from liverseg_tf.predict.trust.plausibility import find_implausible

REGIONS = Regions(
    {"liver": (1, 2), "tumour": (2,), "spleen": (3,), "left kidney": (4,), "gallbladder": (5,)}
)
ORGAN = RegionRange(30, 30, 0, (1.0, 3.0))
KNOWN = TrainingRange(
    30,
    (2.5, 5.0),
    (0.7, 1.0),
    {
        "liver": ORGAN,
        "tumour": RegionRange(30, 30, 0, (0.2, 0.3)),
        "spleen": ORGAN,
        "left kidney": ORGAN,
        "gallbladder": RegionRange(30, 28, 0, (1.0, 3.0)),
    },
)
# (z, row, col) of each label; voxels of 5 x 1 x 1 mm
ABDOMEN = {1: np.s_[2:6, 2:12, 2:12], 3: np.s_[2:6, 14:24, 2:12], 4: np.s_[2:6, 14:24, 14:24]}


def _masks(blocks, affine=np.diag([-1.0, -1.0, 5.0, 1.0])):  # noqa: B008
    labels = np.zeros((10, 30, 30), np.uint8)
    for label, block in blocks.items():
        labels[block] = label
    masks = RegionMasks.empty(Volume(labels, affine), REGIONS)
    masks.bits[:] = labels_to_bits(labels, REGIONS)
    return masks


def _judge(blocks, known=KNOWN, **settings):
    return list(find_implausible(_masks(blocks), known, **settings))


def test_an_image_like_those_of_the_training_gives_no_warning():
    assert _judge(ABDOMEN) == []
    assert _judge({}, TrainingRange()) == []  # nothing is known


@pytest.mark.parametrize("blocks", [{}, {2: ABDOMEN[1], 5: np.s_[0, 0, 0]}, {1: np.s_[2, 2:4, 2]}])
def test_another_part_of_the_body(blocks):
    """Most organs are missing, or much too small or too large; all regions count."""
    (line,) = _judge(blocks, only=("left kidney",))
    assert line.startswith("Does the image show the part of the body that the model knows? Check")
    assert "spleen not found (1.0 to 3.0 ml in the training cases)" in line
    assert "tumour" not in line
    assert "gallbladder" not in line


def test_a_model_of_few_cases_knows_less():
    """Half of the smallest volume is not far from what three cases show."""
    small = {1: np.s_[2:4, 2:6, 2:12]}  # 0.4 ml
    of_few = replace(KNOWN, regions={"liver": RegionRange(3, 3, 0, (1.0, 3.0))})
    of_many = replace(KNOWN, regions={"liver": ORGAN})
    assert _judge(small, of_few) == []
    assert len(_judge(small, of_many)) == 1


def test_a_missing_organ():
    blocks = {label: ABDOMEN[label] for label in (1, 4)}
    (line,) = _judge(blocks)
    assert line == "spleen not found (1.0 to 3.0 ml in the training cases): check this mask"
    assert _judge(blocks, only=("liver",)) == []
    assert _judge(blocks, flagged=("spleen",)) == []
    of_two = {
        name: replace(ORGAN, cases=2, present=2) for name in ("liver", "spleen", "left kidney")
    }
    assert _judge(blocks, replace(KNOWN, regions=of_two)) == []


def test_organs_that_the_ends_of_the_image_cut_off():
    cut = {1: np.s_[6:10, 2:12, 2:12], 3: np.s_[6:10, 14:24, 0:10], 4: ABDOMEN[4]}
    assert _judge(cut) == [
        "liver: cut off by the superior end of the image, so that a part of it is missing",
        "spleen: cut off by the superior and right ends of the image, so that a part of it is "
        "missing",
    ]
    # some voxels at the end are rather an error of the mask
    assert _judge(ABDOMEN | {2: np.s_[9, 5:8, 5]}) == []
    # in a training case, the organ was cut off as well
    as_known = {name: replace(one, cut_off=1) for name, one in KNOWN.regions.items()}
    assert _judge(cut, replace(KNOWN, regions=as_known)) == []


@pytest.mark.parametrize(
    ("spacing", "line"),
    [
        ((0.5, 1.0, 1.0), "slice distance of 0.5 mm, far from that of the training cases"),
        ((8.0, 1.0, 1.0), "slice distance of 8 mm, far from that of the training cases (2.5 to 5"),
        ((5.0, 0.1, 0.1), "pixel size of 0.1 mm, far from that of the training cases (0.7 to 1"),
        ((0.8, 0.7, 0.5), None),
    ],
)
def test_spacing_far_from_that_of_the_training_cases(spacing, line):
    """The axes of the file have another order than those of the patient."""
    known = replace(KNOWN, regions={})
    z, row, col = spacing
    sagittal = np.array([[0, 0, -col, 0], [-row, 0, 0, 0], [0, z, 0, 0], [0, 0, 0, 1]], float)
    found = list(find_implausible(_masks({}, sagittal), known))
    assert [one[: len(line)] for one in found] == [line] if line else found == []


def test_every_kind_of_predictor_knows_its_training_cases(bright_is_liver):
    model, other, old = bright_is_liver(), bright_is_liver(), bright_is_liver()
    masks = RegionMasks.empty(Volume(np.zeros((4, 9, 9)), np.eye(4)), model.network.regions)
    model.training_range = TrainingRange(9, (5.0, 5.0), (1.0, 1.0))
    other.training_range = TrainingRange(9, (1.0, 1.0), (1.0, 1.0))
    expected = (
        "slice distance of 1 mm, far from that of the training cases (5 mm): check all masks",
    )
    for predictor in (model, MirroredPredictor(model), Ensemble([model, model])):
        assert judge_masks(masks, predictor, (0.5, 0.5)).warnings == expected
    for predictor in (old, Ensemble([model, other]), Ensemble([model, old])):
        assert judge_masks(masks, predictor, (0.5, 0.5)).warnings == ()
