import numpy as np
import pytest

from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.predict.tuning.selection import select_postprocessing
from liverseg_tf.predict.tuning.validation_masks import THRESHOLDS, ValidationMasks, _pack

LIVER = Regions({"liver": (1,)})
SHAPE = (3, 20, 20)
GRID = Volume(np.broadcast_to(np.uint8(0), SHAPE), np.diag([-1.0, -1.0, 1.0, 1.0]))


def _case(name, regions, probabilities, references):
    """Create a case from (regions, z, row, col) probabilities and reference masks."""
    return ValidationMasks(
        name,
        regions,
        GRID,
        tuple(tuple(_pack(values > p) for values in probabilities) for p in THRESHOLDS),
        tuple(map(_pack, references)),
    )


def _ring_case(number, true_columns, regions=LIVER):
    """A region of 16 columns, and 4 of 0.45 of which some belong to it; None: there are no 4."""
    values, reference = np.zeros((2, 1, *SHAPE))
    values[..., :16], values[..., 16:] = 0.9, 0 if true_columns is None else 0.45
    reference[..., : 16 + (true_columns or 0)] = 1
    return _case(f"case_{number}", regions, values, reference > 0)


def _select(true_columns, folds=None, regions=LIVER):
    cases = [_ring_case(n, columns, regions) for n, columns in enumerate(true_columns)]
    return select_postprocessing(cases, regions, folds)


# the threshold 0.4 adds four columns: the Dice rises from 0.89 to 1 with all of them true, and
# falls from 1 to 0.89 with none
@pytest.mark.parametrize(
    ("true_columns", "lowered", "notes"),
    [
        ([4], False, 1),
        ([4, 4], True, 0),
        ([4, 4, 4, None], False, 1),
        ([4] * 6, True, 0),
        ([4, 4, 4, 4, 3, 3], True, 0),
        ([4, 4, None, None, None, 0], False, 1),
        ([None] * 8, False, 0),
    ],
)
def test_a_threshold_is_kept_if_its_gain_is_more_than_noise(true_columns, lowered, notes):
    result = _select(true_columns)
    assert result.postprocessing.threshold == ((("liver", 0.4),) if lowered else ())
    assert result.postprocessing.largest == ("liver",)  # a single organ, in spite of no evidence
    assert len(result.notes) == notes


def test_a_doubtful_gain_is_told_in_one_line():
    (note,) = _select([4]).notes
    assert note == (
        "liver: threshold 0.4 gains 0.1111 (1 case, fewer than 5), which is within noise: not used."
    )
    (note,) = _select([4, 4, None, None, None, 1]).notes
    assert note.startswith("liver: threshold 0.4 gains 0.02")
    assert "(95 % interval -0.0" in note


def test_choices_are_scored_on_cases_without_which_they_were_made():
    # without the first fold, the threshold 0.4 gains on every case; on the first fold it loses
    folds = {f"case_{n}": 1 if n < 4 else 2 for n in range(12)}
    result = _select([0, None, None, None, *[4] * 8], folds)
    gain = result.gains()["liver"]
    held_out = [gains["liver"] for gains in result.held_out_gains.values()]
    assert held_out[0] < 0 == held_out[-1]
    assert gain.mean == pytest.approx(np.mean(held_out))
    assert gain.low < 0
    # all cases together would have chosen it
    assert result.postprocessing == PostProcessing(largest=("liver",))
    (note,) = result.notes
    assert note.startswith("threshold liver 0.4 gains -0.0")
    assert note.endswith("on held-out cases, which is within noise: not used.")
    assert _select([4] * 8, {f"case_{n}": n % 2 for n in range(8)}).gains()["liver"].low > 0.1


def _speck_case(number, regions, reference_has_speck=False):
    values, reference = np.zeros((2, 1, *SHAPE))
    values[..., :12] = values[:, :, :2, 16:18] = 0.9
    reference[..., :12] = 1
    if reference_has_speck:
        reference[:, :, :2, 16:18] = 1
    return _case(f"case_{number}", regions, values, reference > 0)


@pytest.mark.parametrize(
    ("name", "largest"), [("liver", True), ("something", True), ("tumour", False)]
)
def test_one_case_suffices_for_the_largest_component_of_all_but_lesions(name, largest):
    regions = Regions({name: (1,)})
    result = select_postprocessing([_speck_case(0, regions)], regions)
    assert result.postprocessing.largest == ((name,) if largest else ())


@pytest.mark.parametrize(("name", "largest"), [("liver", True), ("something", False)])
def test_without_evidence_only_single_organs_keep_the_largest_component(name, largest):
    result = _select([None] * 6, regions=Regions({name: (1,)}))
    assert result.postprocessing.largest == ((name,) if largest else ())


def test_an_organ_in_two_pieces_keeps_both():
    result = select_postprocessing([_speck_case(0, LIVER, reference_has_speck=True)], LIVER)
    assert result.postprocessing == PostProcessing()


def test_a_false_tumour_in_many_cases_is_removed():
    cases = []
    for number in range(6):
        values, references = np.zeros((2, 2, *SHAPE))
        values[0, :, :, :16] = references[0, :, :, :16] = 1
        values[1, :, 2:10, 2:10] = references[1, :, 2:10, 2:10] = 1
        values[1, :, 2:7, 11:16] = references[1, :, 2:7, 11:16] = 1
        values[1, 1, 15, 5] = 1  # 1 mm³ inside the liver
        cases.append(_case(f"case_{number}", LIVER_REGIONS, values, references > 0))
    result = select_postprocessing(cases, LIVER_REGIONS)
    assert result.postprocessing.min_volume_ml == (("tumour", 0.05),)
    assert result.gains()["tumour"].low > 0
    assert select_postprocessing(cases[:4], LIVER_REGIONS).postprocessing.min_volume_ml == ()
