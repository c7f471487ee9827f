import keras
import numpy as np
import pytest
from PIL import Image

from liverseg_tf.train.network.unet import UNetSpec, build_training_unet
from liverseg_tf.train.preview.network_diagram import (
    draw_network,
    receptive_fields,
    write_network_diagram,
)
from liverseg_tf.train.settings import TrainSettings

SIZE = 96
SPECS = {
    "plain": UNetSpec(1, ("a",), 2, 2, "none"),
    "residual": UNetSpec(1, ("a",), 2, 2, "none", residual=True),
    "attention": UNetSpec(1, ("a",), 2, 2, "none", attention=True),
    "patches": UNetSpec(1, ("a",), 2, 1, "none", patch=2),
}


def _measure_receptive_field(model):
    """Change one input row after the other; the widest range of rows that affects an output row."""
    tiles = np.full((SIZE + 1, SIZE, 8, 1), 150.0, np.float32)
    for row in range(SIZE):
        tiles[row, row] = 250
    outputs = np.asarray(model(tiles))[..., 0].mean(axis=2)
    changes = np.abs(outputs[:-1] - outputs[-1]) > 0  # (input row, output row)
    spans = [np.flatnonzero(column) for column in changes.T]
    return max(rows[-1] - rows[0] + 1 for rows in spans)


@pytest.mark.parametrize("name", SPECS)
def test_receptive_fields_equal_measured_ones(name):
    model = build_training_unet(SPECS[name])
    rng = np.random.default_rng(0)
    # all positive, so that no ReLU hides a change
    model.set_weights([rng.uniform(0.1, 0.2, w.shape) for w in model.get_weights()])
    fields = receptive_fields(model)
    assert fields["tiles"] == 1
    assert fields["logits"] == _measure_receptive_field(model) < SIZE


def test_receptive_fields_of_the_first_levels_by_hand():
    fields = receptive_fields(build_training_unet(UNetSpec(depth=2, base_filters=2)))
    assert fields["down0_relu_b"] == 5  # two 3x3 convolutions
    assert fields["pool0"] == 6
    assert fields["down1_relu_b"] == 14  # two more, whose pixels are twice as far apart
    assert fields["bottleneck_relu_b"] == 32


def test_the_receptive_field_with_a_stem_is_a_few_pixels_too_small():
    model = build_training_unet(UNetSpec(1, ("a",), 2, 1, "none", patch=2, stem_filters=2))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.1, 0.2, w.shape) for w in model.get_weights()])
    assert 0 <= _measure_receptive_field(model) - receptive_fields(model)["logits"] <= 2


def test_the_diagram_shows_the_shape_of_every_level():
    model = build_training_unet(UNetSpec(3, ("a", "b"), 4, 3, attention=True))
    figure = draw_network(model, (64, 96))
    (axes,) = figure.axes
    texts = [text.get_text().split("\n")[:2] for text in axes.texts]
    assert texts == [
        *(["64 x 96", "3 channels"], ["64 x 96", "4 channels"], ["32 x 48", "8 channels"]),
        *(["16 x 24", "16 channels"], ["8 x 12", "32 channels"], ["16 x 24", "16 channels"]),
        *(["32 x 48", "8 channels"], ["64 x 96", "4 channels"], ["64 x 96", "2 channels"]),
    ]
    assert f"{model.count_params():,} parameters" in axes.get_title()


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"encoder": "MobileNetV3Small"}], ids=str)
def test_the_network_of_the_settings_is_drawn(blob_store, tmp_path, changes):
    path = tmp_path / "network.png"
    write_network_diagram(blob_store, TrainSettings(base_filters=4, **changes), path)
    with Image.open(path) as image:
        assert image.size[0] > image.size[1] > 300
    assert keras.config.floatx() == "float32"
