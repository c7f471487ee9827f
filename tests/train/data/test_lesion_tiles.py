import dataclasses
import json

import numpy as np
import pytest

from liverseg_tf.choices import LOOKALIKES
from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.intensity import PercentileRange
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.data import lesion_tiles
from liverseg_tf.train.data.lesion_tiles import LesionSampler, LesionShare, contrast_factor
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.lesion_labels import check_lesions, lesion_labels
from liverseg_tf.train.settings import TrainSettings

LIVER = Annotation(Regions({"liver": (1, 2)}))
CASES = ["case_0", "case_1", "case_2", "case_3"]


def make_sampler(
    store, share: float = 1.0, context: int = 3, regions=LIVER_REGIONS, seed=0, lookalikes=()
):
    network = NetworkSpec(store.spec, regions, context)
    cysts = lookalikes == ("cyst",)
    share = LesionShare(share, seed, lookalikes, cysts)
    return LesionSampler(share, store, CASES, network, 8, 0.5)


def test_lookalikes_are_drawn_below_the_lesions_and_get_no_label(blob_store):
    plain = make_sampler(blob_store)
    sampler, again = (make_sampler(blob_store, lookalikes=LOOKALIKES) for _ in range(2))
    seen = 0
    for step in range(6):
        lesions, labels = (array.copy() for array in plain.batch(0, step))
        image, mask = (array.copy() for array in sampler.batch(0, step))
        part = again.batch(0, step, slice(4, 8))
        np.testing.assert_array_equal(image[4:], part[0])
        np.testing.assert_array_equal(mask, labels)
        organ = mask[..., 0] > 0
        differ = (image != lesions)[..., 1]  # in the middle slice
        seen += int(differ.any(axis=(1, 2)).sum())
        darker = image[..., 1].astype(int) < lesions[..., 1]
        assert (differ & organ).sum() == 0 or darker[differ & organ].mean() > 0.6
    assert seen > 8


def test_cysts_can_be_lesions_in_training(blob_store):
    sampler, plain = make_sampler(blob_store, lookalikes=("cyst",)), make_sampler(blob_store)
    more = [
        (sampler.batch(0, step)[1] == 2).sum() - (plain.batch(0, step)[1] == 2).sum().astype(int)
        for step in range(4)
    ]
    assert sum(more) > 20


def test_lesions_differ_in_each_step_and_follow_from_seed_step_and_position(blob_store):
    sampler, again = make_sampler(blob_store), make_sampler(blob_store)
    plain = BatchSampler(blob_store, CASES, sampler.network, 8, 0.5)
    seen = 0
    for step in range(6):
        image, mask = (array.copy() for array in sampler.batch(0, step))
        parts = [again.batch(0, step, slice(first, first + 4)) for first in (0, 4)]
        np.testing.assert_array_equal(image, np.concatenate([part[0] for part in parts]))
        np.testing.assert_array_equal(mask, np.concatenate([part[1] for part in parts]))
        originals, labels = plain.batch(0, step)
        drawn = (image != originals).any(axis=(1, 2, 3))
        seen += int(drawn.sum())
        # tumours of the patient stay, and lesions lie in the organ or where it bulges
        assert ((labels == 2) & (mask == 0)).sum() == 0
        assert set(np.unique(mask)) <= {0, 1, 2}
        np.testing.assert_array_equal(mask[~drawn], labels[~drawn])
        assert ((mask == 2).sum(axis=(1, 2, 3)) >= (labels == 2).sum(axis=(1, 2, 3)) - 30).all()
    assert seen > 15
    assert not np.array_equal(sampler.batch(0, 0)[0], sampler.batch(1, 0)[0])


def test_the_lesions_of_patients_without_tumour_labels_are_labelled(blob_store, annotate):
    store = annotate(blob_store, **dict.fromkeys(CASES, LIVER))
    with pytest.raises(LiverSegError, match="that label the region tumour"):
        BatchSampler(store, CASES, NetworkSpec(store.spec), 8, 0.5)
    sampler = make_sampler(store, share=0.5)
    assert len(sampler.with_lesions) == 2
    assert sampler.absent_regions() == []
    truths = {True: [], False: []}
    for step in range(5):
        numbers = sampler.draw(0, step)[:, 1]
        _, codes = sampler.batch(0, step)
        for number, tile in zip(numbers, codes[..., 0], strict=True):
            name = CASES[int(sampler._case_of[number])]
            truths[name in sampler.with_lesions].append(sampler.codes.table[tile])
    assert (np.array(truths[False])[..., 1] == -1).all()  # no loss
    with_lesions = np.array(truths[True])
    assert set(np.unique(with_lesions)) == {0, 1}
    assert (with_lesions[..., 0] >= with_lesions[..., 1]).all()
    assert 0.2 < with_lesions[..., 1].any(axis=(1, 2)).mean() < 1


def test_the_patients_follow_from_the_share_and_the_seed(blob_store):
    chosen = [make_sampler(blob_store, 0.5, seed=seed).with_lesions for seed in range(6)]
    assert all(len(names) == 2 for names in chosen)
    assert len(set(map(frozenset, chosen))) > 1
    assert make_sampler(blob_store, 0.5).with_lesions == chosen[0]
    assert len(make_sampler(blob_store, 0.01).with_lesions) == 1
    # two cases of one patient have lesions together
    records = dict(blob_store.cases)
    for name in CASES:
        records[name] = records[name] | {"patient": f"p{int(name[-1]) // 2}", "image_digest": None}
    names = LesionShare(0.5, 3).choose(CASES, records)
    assert names in ({"case_0", "case_1"}, {"case_2", "case_3"})


def test_the_slices_of_a_context_show_one_lesion(blob_store):
    """In the outer slices, a lesion is where it is in the middle one, or smaller."""
    sampler = make_sampler(blob_store, context=3)
    plain = BatchSampler(blob_store, CASES, sampler.network, 8, 0.5)
    related = []
    for step in range(8):
        difference = np.abs(sampler.batch(0, step)[0].astype(int) - plain.batch(0, step)[0]) > 8
        for tile in difference:
            sizes = tile.sum(axis=(0, 1))
            if sizes[1] > 20 and sizes[2] > 20:
                both = (tile[..., 1] & tile[..., 2]).sum()
                related.append(both / min(sizes[1], sizes[2]))
    assert len(related) > 5
    assert np.median(related) > 0.5


def test_the_first_lesions_have_three_times_the_contrast(blob_store, monkeypatch):
    def contrast() -> float:
        sampler = make_sampler(blob_store, context=1)
        plain = BatchSampler(blob_store, CASES, sampler.network, 8, 0.5)
        image, mask = sampler.batch(0, 0)
        difference = image.astype(float) - plain.batch(0, 0)[0]
        return np.abs(difference[mask == 2]).mean()

    first = contrast()
    monkeypatch.setattr(lesion_tiles, "_FIRST_CONTRAST", 1.0)
    assert 2 < first / contrast() < 3.5
    monkeypatch.undo()
    assert contrast_factor(0) == 3
    assert contrast_factor(5000) == pytest.approx(1, abs=1e-4)


def test_the_labels_of_organ_and_lesions_come_from_the_regions():
    assert lesion_labels(LIVER_REGIONS) == ((1,), 2)
    kidney = Regions({"kidney": (4, 5, 20), "tumour": (20,), "spleen": (3,)})
    assert lesion_labels(kidney) == ((4, 5), 20)
    for wrong in (
        Regions({"liver": (1,)}),
        Regions({"a": (1, 2, 3), "b": (2, 3), "c": (3,)}),
        Regions({"a": (1,), "b": (1,)}),
    ):
        check_lesions(0.0, wrong)
        with pytest.raises(SettingsError, match="together with synthetic_lesions"):
            check_lesions(0.5, wrong)


def test_lookalikes_need_lesions():
    settings = TrainSettings(synthetic_lesions=0.5, lookalikes=["fat", "cyst", "fat"])
    assert settings.lookalikes == ("cyst", "fat")
    assert TrainSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
    for wrong, message in (
        ({"lookalikes": ("cyst",)}, "synthetic_lesions above 0 together with lookalikes"),
        ({"lookalikes": "cyst"}, "a list of names"),
        ({"lookalikes": ("cyst", "gas")}, "Received gas"),
        ({"synthetic_lesions": 0.5, "cysts_are_lesions": True}, "Received no lookalikes"),
    ):
        with pytest.raises(SettingsError, match=message):
            TrainSettings(**wrong)


def test_tiles_without_hu_or_without_the_organ_are_refused(blob_store):
    percentiles = dataclasses.replace(blob_store, spec=TileSpec(percentiles=PercentileRange()))
    with pytest.raises(SettingsError, match="Expected tiles in HU"):
        make_sampler(percentiles)
    with pytest.raises(LiverSegError, match="none that contains it"):
        make_sampler(blob_store, regions=Regions({"spleen": (7, 8), "lesion": (8,)}))
