import dataclasses
import functools
import re

import pytest

from liverseg_tf.train.learner.execution import ExecutionOptions
from liverseg_tf.train.learner.factory import make_learner
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.memory import estimate_memory
from liverseg_tf.train.network.from_settings import make_network_spec
from liverseg_tf.train.preview.dry_run import describe_run
from liverseg_tf.train.settings import TrainSettings

TINY = TrainSettings(base_filters=4, depth=2, batch_size=4, epochs=3, steps_per_epoch=7)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_run_is_described_and_nothing_is_written(blob_store):
    before = sorted(blob_store.folder.rglob("*"))
    text = "\n".join(describe_run(blob_store, TINY, ExecutionOptions()))
    assert "cases: 2 for training, 1 for validation, 1 for testing" in text
    assert "tiles: 48 x 48 x 1, batches of 4; 20 training slices" in text
    assert "steps: 21 (84 tiles, each slice 4 times)" in text
    assert re.search(r"memory: about 0\.0 GB", text)
    assert re.search(r"time: about \d+ s, [\d.]+ tiles/s", text)
    assert sorted(blob_store.folder.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_the_steps_of_a_time_budget_are_estimated(blob_store):
    text = "\n".join(
        describe_run(blob_store, dataclasses.replace(TINY, minutes=2.0), ExecutionOptions())
    )
    steps, rate = (
        float(re.search(p, text)[1].replace(",", ""))
        for p in (r"steps: ([\d,]+)", r"([\d.]+) tiles/s")
    )
    assert steps * 4 / rate == pytest.approx(120, rel=0.1)


@pytest.mark.slow
def test_memory_is_proportional_to_batch_tile_and_precision(blob_store):
    network = make_network_spec(blob_store, TINY)

    @functools.cache
    def memory(precision="float32", shape=(64, 64), batch=4):
        learner = make_learner(network, TINY, ExecutionOptions(Hardware(precision)))
        weights = learner.components.model.count_params() * 24
        return estimate_memory(learner.components, shape, batch) - weights

    assert memory(batch=8) == pytest.approx(2 * memory(), rel=0.01)
    assert memory(shape=(128, 64)) == pytest.approx(2 * memory(), rel=0.01)
    assert memory("bfloat16") == pytest.approx(memory() / 2, rel=0.01)
