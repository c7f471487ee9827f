import math
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.preview.curves import draw_curves
from liverseg_tf.train.preview.figure_file import literal, write_figure
from liverseg_tf.train.preview.preview_batch import draw_tiles


@pytest.mark.parametrize(
    ("name", "signature"), [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.pdf", b"%PDF")]
)
def test_the_suffix_determines_the_format(tmp_path, name, signature):
    write_figure(Figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(signature)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiverSegError, match="Expected to write"):
        write_figure(Figure(), tmp_path / "file" / "a.png")


NAMES = ("$x^{$", "$x^{$=1", "a$b$c", r"\$x", r"$\frac{1}{$", "_hidden", "__", "%s%n", "x\x1b[2J")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_markup_in_figures(tmp_path, name):
    row = {"epoch": 1, "loss": 1.0, "learning_rate": 1e-3, f"dice_{name}": 0.5}
    curves = draw_curves([row, row | {f"dice_{name}": math.nan}])
    tiles = draw_tiles(np.zeros((1, 16, 16)), np.ones((1, 16, 16, 1)), (name,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, figure in enumerate((curves, tiles)):
            write_figure(figure, tmp_path / f"{number}.png")
    for legend in (curves.axes[1].get_legend(), tiles.legends[0]):
        (text,) = legend.get_texts()
        assert text.get_text().startswith(literal(name))
