import keras
import numpy as np
import pytest

from liverseg_tf.ct.annotation import Annotation
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.custom_parts import CUSTOM_LOSS, CustomParts
from liverseg_tf.train.network.loss_weights import LossWeights
from liverseg_tf.train.settings import TrainSettings


def _loss(truth, found):
    return keras.ops.mean((truth - found) ** 2, axis=-1)


def _same(image, mask, generator):
    return image, mask


def _network(activation="sigmoid"):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, activation=activation)(x))


CUSTOM = TrainSettings(loss=CUSTOM_LOSS)


@pytest.mark.parametrize(
    ("parts", "settings", "reason"),
    [
        ({"loss": 5}, CUSTOM, "loss as a function"),
        ({"augment": "strong"}, TrainSettings(augment=0), "augment as a function"),
        ({}, CUSTOM, "no loss: hand it over in train_model"),
        ({"loss": _loss}, TrainSettings(), "setting loss custom"),
        ({"augment": _same}, TrainSettings(), "the setting augment 0"),
        ({"from_logits": True}, TrainSettings(), "from_logits together"),
        (
            {"loss": _loss},
            TrainSettings(loss=CUSTOM_LOSS, auxiliary=Regions({"spleen": [3]})),
            "no auxiliary regions .* Received spleen",
        ),
    ],
)
def test_parts_that_do_not_suit_the_settings_are_refused(parts, settings, reason):
    with pytest.raises(SettingsError, match=reason):
        CustomParts(**parts).check(settings)


def test_tiles_stay_on_the_device_only_if_nothing_is_drawn_elsewhere():
    lesions = TrainSettings(synthetic_lesions=0.5, context=3)
    assert CustomParts().cache_choice(TrainSettings(), True) is True
    assert CustomParts().cache_choice(TrainSettings(), None) is None
    assert CustomParts().cache_choice(lesions, None) is False
    for parts, settings in (
        (CustomParts(), lesions),
        (CustomParts(augment=_same), TrainSettings()),
    ):
        with pytest.raises(SettingsError, match="no cache_on_device together"):
            parts.cache_choice(settings, True)


def test_settings_of_the_unet_have_no_effect_on_another_network():
    parts = CustomParts(model=_network())
    parts.check(TrainSettings())
    for name, value in (("base_filters", 8), ("deep_supervision", 2), ("init_from", "RUN")):
        with pytest.raises(SettingsError, match=f"no setting {name} together with a model"):
            parts.check(TrainSettings(**{name: value}))
    with pytest.raises(SettingsError, match="precision float32 together"):
        parts.check_precision("bfloat16")


def test_a_loss_gets_probabilities_or_the_logits_that_it_asks_for():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (2, 4, 4, 2)).astype(np.float32)
    logits = rng.normal(size=truth.shape).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-logits))
    of_loss = CustomParts(loss=_loss).loss_function(CUSTOM_LOSS)
    expected = ((truth - probabilities) ** 2).mean()
    np.testing.assert_allclose(float(of_loss(truth, logits, LossWeights())), expected, rtol=1e-5)
    found = []
    for from_logits in (False, True):
        loss = keras.losses.BinaryCrossentropy(from_logits=from_logits)
        function = CustomParts(loss=loss).loss_function(CUSTOM_LOSS)
        found.append(float(function(truth, logits, LossWeights())))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_probabilities_of_a_network_become_logits():
    values = np.array([[-3.0, 0.5]], np.float32)
    assert CustomParts().compute_logits(values) is values
    assert CustomParts(model=_network(), from_logits=True).compute_logits(values) is values
    probabilities = 1 / (1 + np.exp(-values))
    found = np.asarray(CustomParts(model=_network()).compute_logits(probabilities))
    np.testing.assert_allclose(found, values, rtol=1e-4)


def test_logits_are_not_taken_for_probabilities():
    network = NetworkSpec(stride=1)
    model = _network(None)
    model.set_weights([np.full((1, 1, 1, 2), 9, np.float32), np.zeros(2, np.float32)])
    with pytest.raises(SettingsError, match="from_logits=True"):
        CustomParts(model=model).training_model(network)
    parts = CustomParts(model=model, from_logits=True)
    assert parts.training_model(network).output_shape[-1] == len(LIVER_REGIONS)
    assert parts.network_spec(NetworkSpec()).stride == 1


def test_batches_are_augmented_by_the_function(blob_store):
    network = NetworkSpec(blob_store.spec)
    settings = TrainSettings(batch_size=4, augment=0.0)
    plain = CustomParts().make_sampler(blob_store, network, settings)
    parts = CustomParts(augment=lambda image, mask, generator: (image[::-1], mask[::-1]))
    flipped = parts.make_sampler(blob_store, network, settings)
    for before, after in zip(plain.batch(3, 5), flipped.batch(3, 5), strict=True):
        np.testing.assert_array_equal(after, before[:, ::-1])


def test_a_loss_of_the_caller_cannot_leave_out_voxels(blob_store, annotate):
    store = annotate(blob_store, case_1=Annotation(Regions({"liver": (1, 2)})))
    settings = TrainSettings(batch_size=4, loss=CUSTOM_LOSS)
    with pytest.raises(LiverSegError, match="together with a loss of your own"):
        CustomParts(loss=_loss).make_sampler(store, NetworkSpec(store.spec), settings)
