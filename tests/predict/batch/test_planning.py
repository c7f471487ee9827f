from pathlib import Path

from liverseg_tf.predict.batch.planning import find_shared_outputs, split_by_memory


def test_cases_that_would_write_the_same_file_are_refused():
    """A mesh of case a and region b_c has the name of one of case a_b and region c."""
    mesh = Path("a_b_c.stl")
    failures = find_shared_outputs({"a": [Path("a.json"), mesh], "a_b": [mesh], "c": []})
    assert failures.keys() == {"a", "a_b"}
    assert "a_b_c.stl for a and for a_b" in failures["a"]
    assert failures["a_b"].endswith("(case a_b)")


def test_cases_that_do_not_fit_into_memory_together_are_separated():
    sizes = {"a": 1, "b": 1, "c": 5, "d": 4, "e": 1}
    groups = list(split_by_memory(list(sizes), sizes.__getitem__, 6))
    assert groups == [["a", "b", "c"], ["d", "e"]]
    assert list(split_by_memory(["c"], sizes.__getitem__, 1)) == [["c"]]
    assert list(split_by_memory([], sizes.__getitem__, 6)) == []
