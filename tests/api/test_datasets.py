import itertools

import numpy as np
import pytest

import liverseg_tf as ls
from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import training_batches
from liverseg_tf.train.data.sampling import BatchSampler
from liverseg_tf.train.settings import TrainSettings


def test_batches_are_those_of_the_training(facade_folder):
    store = ls.open_store(facade_folder / "store")
    settings = TrainSettings(batch_size=3, augment=0.0, seed=4, context=3)
    network = NetworkSpec(store.spec, context=3)
    sampler = BatchSampler(store, store.split["train"], network, 3, settings.foreground_fraction)
    expected = itertools.islice(training_batches(sampler, settings), 2)
    found = ls.tile_batches(store, batch_size=3, augment=0, context=3, seed=4)
    for (image, truth), (tiles, regions) in zip(expected, found, strict=False):
        np.testing.assert_array_equal(tiles, np.asarray(image))
        np.testing.assert_array_equal(regions, np.asarray(truth))
        assert (tiles.dtype, regions.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("side", ["val", "test"])
def test_the_other_sides_give_every_slice_once_in_order(facade_folder, side):
    store = ls.open_store(facade_folder / "store")
    (name,) = store.split[side]
    case = store.read(name)
    batches = list(ls.tile_batches(store, side, batch_size=3, regions={"liver": [1, 2]}))
    assert [len(image) for image, _ in batches] == [3, 3, 2]
    images, truths = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    rows, columns = case.mask.shape[1:]
    np.testing.assert_array_equal(images[:, :rows, :columns], case.image)
    np.testing.assert_array_equal(truths[:, :rows, :columns, 0], case.mask > 0)


def test_an_own_augmentation(facade_folder):
    arguments = {"batch_size": 2, "seed": 1}
    plain = next(ls.tile_batches(facade_folder / "store", augment=0, **arguments))
    dark = next(
        ls.tile_batches(facade_folder / "store", augment=lambda i, m, g: (i * 0, m), **arguments)
    )
    assert dark[0].max() == 0
    np.testing.assert_array_equal(dark[1], plain[1])


def test_what_cannot_be_drawn_is_refused(facade_folder):
    store = ls.open_store(facade_folder / "store")
    with pytest.raises(SettingsError, match="a side of train, val, test"):
        ls.tile_batches(store, "all")
    name = store.split["val"][0]
    store.cases[name] = store.cases[name] | {"annotation": Annotation(ignored=9).to_json()}
    with pytest.raises(LiverSegError, match=f"label every region.*{name}"):
        ls.tile_batches(store, "val")
    store.split["val"] = []
    with pytest.raises(LiverSegError, match="cases on the side val"):
        ls.tile_batches(store, "val")
