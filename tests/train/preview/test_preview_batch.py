import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from liverseg_tf.train.preview.contours import COLOURS
from liverseg_tf.train.preview.preview_batch import draw_tiles, write_batch_preview
from liverseg_tf.train.settings import TrainSettings


def _contains(picture, colour, min_pixels=30):
    rgb = np.round(np.array(to_rgb(colour)) * 255)
    return (np.abs(picture[..., :3] - rgb).max(axis=-1) < 30).sum() > min_pixels


@pytest.mark.slow
def test_a_batch_is_drawn_with_the_contours_of_its_regions(blob_store, tmp_path):
    path = tmp_path / "batch.png"
    settings = TrainSettings(batch_size=6, context=3, foreground_fraction=1.0)
    write_batch_preview(blob_store, settings, path)
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"), np.float32)
    assert picture.shape[1] == 4 * 275
    assert _contains(picture, COLOURS[0])
    assert _contains(picture, COLOURS[1])
    assert not _contains(picture, COLOURS[2])
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["batch.png"]


def test_a_single_tile_without_regions_is_drawn():
    figure = draw_tiles(np.zeros((1, 16, 24)), np.zeros((1, 16, 24, 3)), ("a", "b", "c"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]


def test_regions_that_are_not_labelled_have_no_contour_and_are_named():
    truth = np.zeros((2, 16, 24, 3), np.int8)
    truth[:, 4:8, 4:8, 0] = 1
    truth[1, ..., 1:] = -1
    truth[0, :3, ..., 1] = -1  # a part of the tile
    first, second = draw_tiles(np.zeros((2, 16, 24)), truth, ("a", "b", "c")).axes[:2]
    assert [axes.get_title() for axes in (first, second)] == ["", "not labelled: b, c"]
    assert [len(axes.collections) for axes in (first, second)] == [1, 1]
