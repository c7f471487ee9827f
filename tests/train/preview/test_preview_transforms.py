import numpy as np
import pytest
from PIL import Image

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.preview.preview_transforms import (
    EXAMPLES,
    draw_examples,
    make_examples,
    write_transform_preview,
)
from liverseg_tf.train.settings import TrainSettings

GROUPS = np.zeros(256, np.int32)


def test_examples_differ_from_the_tile_and_from_each_other():
    tile = np.random.default_rng(0).integers(50, 200, (16, 24, 1), np.uint8)
    settings = TrainSettings(transforms=("noise",), mirror=True)
    examples = make_examples(tile, np.zeros_like(tile), settings, GROUPS, 1)
    assert len(examples) == EXAMPLES
    assert len({example.tobytes() for example in examples}) == EXAMPLES
    assert all(np.abs(example - tile).mean() > 0.2 for example in examples)


def test_a_transform_without_visible_effect_has_no_examples():
    tile = np.full((16, 24, 1), 200, np.uint8)  # without air
    settings = TrainSettings(transforms=("table-and-arms",))
    assert make_examples(tile, np.zeros_like(tile), settings, GROUPS, 1) == []


def test_each_transform_is_drawn_in_a_row():
    tile = np.zeros((16, 24, 2))
    figure = draw_examples(tile[..., 0], {"noise": [tile] * EXAMPLES, "blur": [tile]}, 1)
    assert len(figure.axes) == 1 + EXAMPLES + 1 + 1
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == ["noise", "blur"]


@pytest.mark.slow
def test_the_transforms_of_a_run_are_drawn(blob_store, tmp_path):
    path = tmp_path / "transforms.png"
    settings = TrainSettings(transforms=("contrast", "region-curves"))
    write_transform_preview(blob_store, settings, path)
    with Image.open(path) as image:
        assert image.width == 880
        assert np.asarray(image.convert("L")).std() > 20
    with pytest.raises(SettingsError, match="augment above 0 for a picture"):
        write_transform_preview(blob_store, TrainSettings(augment=0.0), path)
