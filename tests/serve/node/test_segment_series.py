"""Results of a series, with a predictor that needs no framework."""

import numpy as np
import pytest
from pydicom import dcmread

from liverseg_tf.ct.dicom.series import find_series
from liverseg_tf.ct.regions import LIVER_REGIONS
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.serve.node.segment_series import SeriesSegmenter
from liverseg_tf.tiles.spec import TileSpec

pytest.importorskip("highdicom")


class BrightPredictor:
    """Finds liver where a tile is bright."""

    network = NetworkSpec(TileSpec(spacing_mm=None), LIVER_REGIONS, 1, 4)
    postprocessing = PostProcessing()
    fingerprint = "0123456789abcdef"
    warnings = ("An unfinished run.",)

    def probabilities(self, tiles):
        bright = (tiles[..., :1] > 150).astype(np.float32)
        return np.concatenate([bright, np.zeros_like(bright)], axis=-1)


@pytest.fixture
def series(make_series):
    (found,) = find_series(make_series(4)[0].parent)
    return found


def test_all_results_are_made_with_identifiers_that_follow_from_the_seed(series, tmp_path):
    segmenter = SeriesSegmenter(BrightPredictor(), ("seg", "sc", "rtstruct"), ("values",))
    made = [
        segmenter.make(series, tmp_path / name, seed, revision)
        for name, seed, revision in (("a", "one", 1), ("b", "one", 1), ("c", "two", 2))
    ]
    kinds = [result.kind for result in made[0]]
    assert kinds[0] == "seg"
    assert kinds[-1] == "rtstruct"
    assert kinds.count("sc") > 1
    first, again, other = ([result.sop_uid for result in results] for results in made)
    assert first == again
    assert not set(first) & set(other)
    for results, name, marked in zip(made, "abc", (False, False, True), strict=True):
        for result in results:
            assert result.file.startswith(f"{name}/")
            dataset = dcmread(tmp_path / result.file)
            assert (dataset.SOPInstanceUID, dataset.SOPClassUID) == (
                result.sop_uid,
                result.sop_class,
            )
            assert dataset.SeriesDescription.endswith("(update 2)") == marked
    assert "An unfinished run." in dcmread(tmp_path / made[0][0].file).ImageComments
    assert "Update 2" in dcmread(tmp_path / made[2][0].file).ImageComments


def test_what_breaks_a_rule_is_refused(make_series, tmp_path):
    def without_intercept(dataset, z):
        dataset.RescaleIntercept = 0

    (series,) = find_series(make_series(4, edit=without_intercept)[0].parent)
    segmenter = SeriesSegmenter(BrightPredictor(), ("seg",))
    with pytest.raises(LiverSegError, match="--accept values"):
        segmenter.make(series, tmp_path / "a", "seed")


def test_a_node_that_stops_ends_the_work(series, tmp_path):
    def stop(slices):
        raise KeyboardInterrupt

    segmenter = SeriesSegmenter(BrightPredictor(), ("seg",), ("values",))
    with pytest.raises(KeyboardInterrupt):
        segmenter.make(series, tmp_path / "a", "seed", on_slices=stop)
    assert not (tmp_path / "a").exists()
