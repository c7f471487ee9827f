from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.tuning.selection import select_postprocessing
from liverseg_tf.predict.tuning.validation_masks import predict_validation_masks
from liverseg_tf.tiles import store as store_module
from liverseg_tf.tiles.case_tiles import checksum
from liverseg_tf.train.session.validation import Validator, written_masks


class _TruthPredictor:
    """Predicts the masks of the store, modified by a function."""

    def __init__(self, store, case_names, modify):
        self.masks = {}
        for name in case_names:
            case = store.read(name)
            for tile, mask in zip(case.image, case.mask, strict=True):
                self.masks[np.asarray(tile).tobytes()] = mask
        self.modify = modify

    def __call__(self, tiles):
        empty = np.zeros(tiles.shape[1:3], np.uint8)
        labels = np.stack(
            [
                self.modify(self.masks.get(tile[:48, :48].tobytes(), empty[:48, :48]))
                for tile in tiles
            ]
        )
        masks = LIVER_REGIONS.masks(labels).astype(np.float32)
        out = np.zeros((*tiles.shape[:3], 2), np.float32)
        out[:, :48, :48] = masks
        return out


def _validator(store, batch_size=4, stride=16):
    return Validator(
        store, ("case_2", "case_3"), NetworkSpec(store.spec, LIVER_REGIONS, 1, stride), batch_size
    )


def test_tiles_are_compared_with_their_checksums_once(blob_store, monkeypatch):
    compared = []

    def count(image, mask):
        compared.append(mask.shape)
        return checksum(image, mask)

    monkeypatch.setattr(store_module, "checksum", count)
    validator = _validator(blob_store)
    assert len(compared) == 2
    for _ in range(3):
        validator.score(lambda tiles: np.zeros((*tiles.shape[:3], 2), np.float32))
    assert len(compared) == 2
    path = blob_store.path("case_3")
    content = bytearray(path.read_bytes())
    content[blob_store.read("case_3").image.offset + 5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(LiverSegError, match=r"case_3.* another checksum"):
        _validator(blob_store)


@pytest.mark.parametrize("batch_size", [3, 4, 32])
def test_the_truth_has_a_dice_of_1_for_any_batch_size(blob_store, batch_size):
    model = _TruthPredictor(blob_store, blob_store.split["val"] + ["case_3"], lambda mask: mask)
    scores = _validator(blob_store, batch_size, stride=32).score(model)
    perfect = {"liver": 1.0, "tumour": 1.0}
    assert scores.region_dice == perfect
    assert scores.case_dice == {"case_2": perfect, "case_3": perfect}
    assert scores.mean_dice == 1


def test_dice_is_summed_over_slices_and_averaged_over_cases(blob_store):
    def lower_half(mask):
        return np.where(np.arange(48)[:, None] < 24, 0, mask).astype(np.uint8)

    names = ("case_2", "case_3")
    model = _TruthPredictor(blob_store, names, lower_half)
    expected = []
    for name in names:
        truth = np.asarray(blob_store.read(name).mask) >= 1
        prediction = truth.copy()
        prediction[:, :24] = False
        expected.append(2 * (truth & prediction).sum() / (truth.sum() + prediction.sum()))
    assert _validator(blob_store).score(model).region_dice["liver"] == pytest.approx(
        np.mean(expected)
    )


def test_a_region_without_truth_and_prediction_has_no_score(blob_store):
    model = _TruthPredictor(blob_store, ("case_2", "case_3"), lambda mask: np.minimum(mask, 1))
    assert (
        _validator(blob_store).score(model).region_dice["tumour"] == 0
    )  # present but not predicted
    validator = Validator(
        blob_store,
        ("case_2",),
        NetworkSpec(blob_store.spec, type(LIVER_REGIONS)({"none": (9,)})),
        4,
    )

    class EmptyPredictor:
        def __call__(self, tiles):
            return np.zeros((*tiles.shape[:3], 1), np.float32)

    assert np.isnan(validator.score(EmptyPredictor()).region_dice["none"])


def test_subsampling_scores_every_nth_slice(blob_store):
    class CountingPredictor:
        slices = 0

        def __call__(self, tiles):
            self.slices += int((tiles.reshape(len(tiles), -1).max(axis=1) > 0).sum())
            return np.zeros((*tiles.shape[:3], 2), np.float32)

    model = CountingPredictor()
    _validator(blob_store, batch_size=5).score(model, subsampling=2)
    assert _validator(blob_store).slice_count == 20
    assert model.slices == 10


def test_hosts_share_the_slices_and_add_up_their_counts(blob_store):
    def lower_half(mask):
        return np.where(np.arange(48)[:, None] < 24, 0, mask).astype(np.uint8)

    model = _TruthPredictor(blob_store, ("case_2", "case_3"), lower_half)
    single = _validator(blob_store).score(model)
    counts = []
    for index in range(3):
        validator = replace(_validator(blob_store), host_index=index, host_count=3)
        validator.score(model, sum_over_hosts=lambda own: counts.append(own) or own)
    together = _validator(blob_store).score(model, sum_over_hosts=lambda own: sum(counts))
    assert together == single


class _RandomPredictor:
    """Random probabilities for each tile: the regions of the channels are not nested."""

    postprocessing, fingerprint = PostProcessing(), "random"

    def __init__(self, network):
        self.network = network

    def probabilities(self, tiles):
        grey = tiles[..., :1].astype(np.int64)
        factors = 37 + 10 * np.arange(len(self.network.regions))
        return ((grey * factors % 256) / 255).astype(np.float32)


@pytest.mark.parametrize(
    "regions",
    [
        LIVER_REGIONS,
        Regions({"liver": (1,), "tumour": (2,)}),  # disjoint
        Regions({"tumour": (2,), "liver": (1, 2)}),  # the nested region first
        Regions({"one": (1, 2), "two": (1, 3)}),
    ],
)
def test_training_and_cross_validation_report_the_same_dice(blob_store, regions):
    network = NetworkSpec(blob_store.spec, regions)
    predictor, names = _RandomPredictor(network), ("case_2", "case_3")
    scores = Validator(blob_store, names, network, 4).score(predictor.probabilities)
    cases = predict_validation_masks(predictor, blob_store, names)
    expected = select_postprocessing(cases, regions).dice_before
    assert scores.case_dice == {
        name: {region: pytest.approx(dice, nan_ok=True) for region, dice in by_region.items()}
        for name, by_region in expected.items()
    }


def test_a_tumour_outside_the_liver_counts_as_liver_as_in_the_label_map():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.9], [0.1, 0.1]], np.float32)
    nested = written_masks(probabilities, LIVER_REGIONS)
    assert nested.tolist() == [[True, False], [True, True], [True, True], [False, False]]
    disjoint = written_masks(probabilities, Regions({"liver": (1,), "tumour": (2,)}))
    assert disjoint.tolist() == [[True, False], [False, True], [False, True], [False, False]]


def test_a_region_has_no_score_where_it_is_not_labelled(blob_store, annotate):
    liver = Annotation(Regions({"liver": (1, 2)}))
    validator = _validator(annotate(blob_store, case_2=liver))
    predict = _TruthPredictor(validator.store, validator.case_names, lambda m: np.minimum(m, 1))
    scores = validator.score(predict)
    assert scores.case_dice["case_2"]["liver"] == 1
    assert np.isnan(scores.case_dice["case_2"]["tumour"])
    assert scores.case_dice["case_3"]["tumour"] == 0
    assert scores.region_dice == {"liver": 1, "tumour": 0}
    assert validator.count_labelled() == {"liver": 2, "tumour": 1}
    predictor = SimpleNamespace(network=validator.network, probabilities=predict)
    (masks,) = predict_validation_masks(predictor, validator.store, ["case_2"])
    dice = masks.dice(masks.masks_above([0.5, 0.5]))
    assert dice[0] == 1
    assert np.isnan(dice[1])


def test_ignored_voxels_have_no_score(blob_store, annotate):
    """Label 2 is ignored: whatever is predicted there, the rest is right."""
    regions = Regions({"liver": (1,)})
    store = annotate(blob_store, case_2=Annotation(ignored=2))
    network = NetworkSpec(store.spec, regions)

    def score(modify):
        truth = _TruthPredictor(store, ["case_2"], modify)
        predictor = SimpleNamespace(network=network, probabilities=lambda x: truth(x)[..., :1])
        validator = Validator(store, ("case_2",), network, 4)
        dice = validator.score(predictor.probabilities).region_dice["liver"]
        (masks,) = predict_validation_masks(predictor, store, ["case_2"])
        tuned = masks.dice(masks.masks_above([0.5]))
        assert tuned[0] == pytest.approx(dice)
        return dice

    assert score(lambda mask: mask) == 1  # `_TruthPredictor` predicts liver at label 2, too
    assert score(lambda mask: mask * (mask == 1)) == 1
    assert score(lambda mask: mask * (mask == 2)) == 0


def test_slices_that_are_not_listed_are_neither_predicted_nor_scored(blob_store, list_slices):
    """Every second slice from the second one on would meet none of those that are listed."""
    store = list_slices(blob_store, case_2="every=4", case_3="4-end")
    truth, predicted = _TruthPredictor(store, ("case_2", "case_3"), lambda mask: mask), []

    def predict(tiles):
        predicted.extend(tile for tile in tiles if tile.any())
        return truth(tiles)

    validator = _validator(store, batch_size=1)
    assert validator.slice_count == 3 + 6
    for subsampling, slices in ((1, 9), (2, 1 + 3), (50, 2)):
        predicted.clear()
        scores = validator.score(predict, subsampling)
        assert len(predicted) == slices
        assert all(truth.masks[tile[:48, :48].tobytes()][0, 0] != 255 for tile in predicted)
    assert scores.case_dice["case_3"]["liver"] != 0
    assert validator.score(truth).region_dice == {"liver": 1, "tumour": 1}
