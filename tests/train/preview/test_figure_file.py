import pytest
from matplotlib.figure import Figure

from liverseg_tf.errors import LiverSegError
from liverseg_tf.train.preview.figure_file import write_picture


@pytest.mark.parametrize(
    ("name", "begins"), [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.pdf", b"%PDF")]
)
def test_the_suffix_names_the_format(tmp_path, name, begins):
    write_picture(Figure(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LiverSegError, match="Expected to write"):
        write_picture(Figure(), tmp_path / "file" / "a.png")
