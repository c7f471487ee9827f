"""What the first pages say about the packaged model is true, with its weights and without them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/models.md", "docs/course/6-from-slices-to-a-mask.md")
WITHOUT = (
    "**This version comes without the weights of abdomen-ct: name another model with `--model`.**"
)


@pytest.mark.parametrize("page", PAGES)
def test_a_line_says_that_the_weights_are_missing_as_long_as_they_are(page):
    """With the weights in the package, this line is removed from each of the pages."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    is_there = (ROOT / "liverseg_tf/packaged_models/abdomen-ct/bundle.json").is_file()
    assert lines.count(WITHOUT) == (0 if is_there else 1)
