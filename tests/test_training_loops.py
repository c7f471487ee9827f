"""The loops of the page "Your own code" run, with TensorFlow or without it."""

from pathlib import Path

import lessons
import pytest

PAGE = Path(__file__).parents[1] / "docs" / "own-code.md"


@pytest.mark.parametrize(("index", "framework"), [(1, "torch"), (2, "jax")])
def test_the_store_feeds_loops_of_ten_lines(index, framework, beside_library_store):
    pytest.importorskip(framework)
    text = list(lessons.steps_of(PAGE.read_text()))[index].source.text
    lines = [line for line in text.splitlines() if line and not line.startswith("import ")]
    assert len(lines) <= 10
    names: dict = {}
    exec(text.replace("), 20):", "), 3):"), names)
    if framework == "torch":
        assert names["loss"].isfinite()
    else:
        assert 0 < float(names["value"]) < 1
        assert float(abs(names["kernel"]).sum()) > 0
