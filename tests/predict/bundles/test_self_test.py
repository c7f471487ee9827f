from types import SimpleNamespace

import numpy as np
import pytest

from liverseg_tf.ct.intensity import PercentileRange
from liverseg_tf.ct.nifti import write_labels, write_volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.bundle.bundle_record import IMAGE_FILE, MASK_FILE, SelfTest
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.bundles.self_test import (
    FEW_VOXELS,
    SelfTestOutput,
    compare_outputs,
    make_test_image,
    run_model,
    run_self_test,
)
from liverseg_tf.tiles.spec import TileSpec


@pytest.fixture
def tested(tmp_path, bright_is_liver):
    """A model, and the folder and the record of its self-test."""
    predictor = bright_is_liver()
    image = make_test_image(predictor.network)
    output = run_model(image, predictor)
    write_volume(tmp_path / IMAGE_FILE, image)
    write_labels(tmp_path / MASK_FILE, output.labels)
    test = SelfTest(0.98, 0.005, output.probabilities)
    return predictor, tmp_path, SimpleNamespace(name="tiny", self_test=test)


def test_a_model_reproduces_its_own_mask(tested):
    predictor, folder, record = tested
    assert run_self_test(folder, record, predictor)["liver"] == 1.0


def test_a_model_that_computes_something_else_fails(tested, monkeypatch):
    predictor, folder, record = tested
    compute = predictor.probabilities
    monkeypatch.setattr(predictor, "probabilities", lambda tiles: compute(tiles // 2))
    with pytest.raises(LiverSegError, match=r"its mask of liver with a Dice of at least 0\.98"):
        run_self_test(folder, record, predictor)
    monkeypatch.setattr(predictor, "probabilities", lambda tiles: 0.9 * compute(tiles))
    with pytest.raises(LiverSegError, match="its mean probability of liver"):
        run_self_test(folder, record, predictor)


def test_a_few_voxels_at_the_border_of_a_small_region_are_no_difference(tested):
    """A model of many organs finds some of them in a few voxels of the synthetic patient."""
    predictor, folder, record = tested
    labels = run_model(make_test_image(predictor.network), predictor).labels
    liver = np.flatnonzero(labels.array == 1)
    small = np.zeros_like(labels.array)
    small.flat[liver[: 2 * FEW_VOXELS]] = 1
    fewer = small.copy()
    fewer.flat[liver[:FEW_VOXELS]] = 0
    first, second = (
        SelfTestOutput(labels.with_array(one), record.self_test.probabilities)
        for one in (small, fewer)
    )
    assert compare_outputs(first, second, predictor.network.regions) == 1.0
    fewer.flat[liver[FEW_VOXELS]] = 0
    assert compare_outputs(first, second, predictor.network.regions) < 0.7
    expected = labels.array.copy()
    expected.flat[liver[FEW_VOXELS:]] = 0  # the mask of the author has a few voxels of liver
    write_labels(folder / MASK_FILE, labels.with_array(expected))
    with pytest.raises(LiverSegError, match="its mask of liver"):
        run_self_test(folder, record, predictor)


def test_the_image_is_always_the_same():
    ct = [make_test_image(NetworkSpec()).array for _ in range(2)]
    np.testing.assert_array_equal(*ct)
    mr = make_test_image(NetworkSpec(TileSpec(percentiles=PercentileRange())))
    assert mr.array.min() >= 0 > ct[0].min()
