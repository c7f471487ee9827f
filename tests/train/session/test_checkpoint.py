import numpy as np
import pytest

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.session.checkpoint import Checkpoint


def test_a_checkpoint_round_trip(tmp_path):
    state = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), *([np.zeros(1)] * 120)]
    Checkpoint(state, {"step": 3, "name": "ü"}).write(tmp_path)
    read = Checkpoint.read(tmp_path)
    assert read.metadata == {"step": 3, "name": "ü"}
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
