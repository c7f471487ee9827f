import pytest
from matplotlib.figure import Figure

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.preview.figure_file import write_figure


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
