import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.session.checkpoint import Checkpoint, TrainingState

TRAINING_STATE = TrainingState(step=3, best_dice={"ü": 0.5}, is_complete=True).to_json()
METADATA = {
    "training_state": TRAINING_STATE,
    "settings": {},
    "store": {"split": {"val": ["a"]}, "checksums": {"a": "0"}},
}


def test_a_checkpoint_round_trip(tmp_path):
    state = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), *([np.zeros(1)] * 120)]
    Checkpoint(state, METADATA).write(tmp_path)
    read = Checkpoint.read(tmp_path)
    assert read.metadata == METADATA
    assert read.training_state() == TrainingState(step=3, best_dice={"ü": 0.5}, is_complete=True)
    for left, right in zip(read.learner_state, state, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
    Checkpoint.remove(tmp_path)
    Checkpoint.remove(tmp_path)
    assert Checkpoint.read(tmp_path) is None


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "checkpoint.npz", metadata=np.array([{}], object))
    with pytest.raises(LiverSegError, match="allow_pickle=False"):
        Checkpoint.read(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"training_state": None},
        {"training_state": TRAINING_STATE | {"step": -1}},
        {"training_state": TRAINING_STATE | {"step": "3"}},
        {"training_state": TRAINING_STATE | {"log_rows": [3]}},
        {"settings": 3},
        {"store": {}},
        {"store": {"split": {"val": [3]}, "checksums": {}}},
    ],
)
def test_a_damaged_record_in_a_checkpoint_is_refused(tmp_path, change):
    Checkpoint([np.zeros(1)], METADATA | change).write(tmp_path)
    with pytest.raises(
        LiverSegError, match=r"The checkpoint .* is damaged .*: delete it"
    ) as caught:
        Checkpoint.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_state_of_another_network_is_refused(tmp_path):
    class Learner:
        def load_state(self, state):
            raise ValueError("Shapes (3,) and (4,) are incompatible\nmore lines")

    with pytest.raises(LiverSegError, match=r"damaged \(Shapes .* are incompatible\): delete it"):
        Checkpoint([np.zeros(1)], METADATA).restore(Learner(), tmp_path)


def test_no_damaged_byte_raises_another_error(tmp_path):
    Checkpoint([np.arange(20.0)], METADATA).write(tmp_path)
    path, draw = tmp_path / "checkpoint.npz", np.random.default_rng(0)
    good = path.read_bytes()
    for _ in range(150):
        content = bytearray(good)
        content[draw.integers(len(content))] ^= 1 << draw.integers(8)
        path.write_bytes(content[: draw.choice([len(content), draw.integers(len(content))])])
        try:
            Checkpoint.read(tmp_path)
        except LiverSegError:
            continue
