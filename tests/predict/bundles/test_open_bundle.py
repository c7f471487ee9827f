"""Damaged, changed, foreign and hostile bundles: each is refused in one line, without Keras."""

import json
import subprocess
import sys
import zipfile

import pytest
from bundles import keras_file, make_folder, zip_folder

from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.bundles.locate import locate_model


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "bundle")


def _add(name, content=b"x", mode=None):
    def edit(archive):
        info = zipfile.ZipInfo(name)
        if mode is not None:
            info.external_attr = mode << 16
        archive.writestr(info, content)

    return lambda folder, path: zip_folder(folder, path, edit)


def _replace(name, content):
    def write(folder, path):
        (folder / name).write_bytes(content)
        zip_folder(folder, path)

    return write


def _change(**entries):
    def write(folder, path):
        record = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps(record | entries))
        zip_folder(folder, path)

    return write


def _remove(name):
    def write(folder, path):
        (folder / name).unlink()
        zip_folder(folder, path)

    return write


def _cut(fraction):
    def write(folder, path):
        zip_folder(folder, path)
        content = path.read_bytes()
        path.write_bytes(content[: round(fraction * len(content))])

    return write


def _flip(folder, path):
    """Change a bit of the model's stored bytes."""
    zip_folder(folder, path)
    content = bytearray(path.read_bytes())
    content[content.index(b"model.keras") + 60] ^= 1
    path.write_bytes(content)


def _encrypt(folder, path):
    zip_folder(folder, path)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def _bomb(folder, path):
    zip_folder(folder, path, lambda archive: archive.writestr("LICENSE2.txt", b"0" * (1 << 25)))


def _many(folder, path):
    def edit(archive):
        for number in range(5000):
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")

    zip_folder(folder, path, edit)


def _text(folder, path):
    path.write_text("no zip file")


def _other_zip(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.csv", "a,b")


def _swap(folder, path):
    """The network of another bundle, with its checksum in the manifest but not in the run."""
    make_folder(folder.parent / "other", model=keras_file(edit=lambda f: f.attrs.update(a=1)))
    for name in ("model.keras", "bundle.json"):
        (folder / name).write_bytes((folder.parent / "other" / name).read_bytes())
    record = json.loads((folder / "bundle.json").read_text())
    own = make_folder(folder.parent / "again") / "bundle.json"
    record["members"]["run.json"] = json.loads(own.read_text())["members"]["run.json"]
    (folder / "bundle.json").write_text(json.dumps(record))
    zip_folder(folder, path)


DAMAGED = {
    "a text": _text,
    "nothing": lambda folder, path: path.write_bytes(b""),
    "another zip": _other_zip,
    "cut at the end": _cut(0.99),
    "cut in the middle": _cut(0.5),
    "one bit": _flip,
    "a file more": _add("notes.txt"),
    "a pickle more": _add("model.pkl", b"cos\nsystem\n(S'true'\ntR."),
    "parent folder": _add("../evil"),
    "absolute": _add("/tmp/evil"),
    "drive": _add("C:\\evil"),
    "a link": _add("link", b"/etc/passwd", 0o120777),
    "a name twice": _add("run.json"),
    "a name in capitals": _add("RUN.json"),
    "encrypted": _encrypt,
    "a bomb": _bomb,
    "many members": _many,
    "no card": _remove("README.md"),
    "no model": _remove("model.keras"),
    "no record": _remove("bundle.json"),
    "another card": _replace("README.md", b"# other"),
    "another model": _replace("model.keras", keras_file(edit=lambda f: f.attrs.update(a=1))),
    "another model of a bundle": _swap,
    "another run": _replace("run.json", b"{}"),
    "a record that is no JSON": _replace("bundle.json", b"{"),
    "a list": _replace("bundle.json", b"[]"),
    "of another kind": _change(kind="dataset"),
    "of another format": _change(format=2),
    "a path as name": _change(name="../evil"),
    "a name with a line": _change(name="tiny\n"),
    "other regions": _change(regions=["spleen"]),
    "another modality": _change(modality="MR"),
    "no members": _change(members={}),
    "negative bytes": _change(members={"run.json": {"bytes": -1, "sha256": "0" * 64}}),
    "a self-test that always passes": _change(
        self_test={"min_dice": 0, "max_difference": 1, "probabilities": {}}
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_bundles_are_refused_in_one_line(kind, folder, tmp_path, cache, recwarn):
    path = tmp_path / "model.zip"
    DAMAGED[kind](folder, path)
    with pytest.raises(LiverSegError) as error:
        locate_model(str(path))
    message = str(error.value)
    assert "\n" not in message
    assert "model.zip" in message
    assert not [one for one in cache.rglob("*") if one.is_file()]
    assert not (tmp_path.parent / "evil").exists()


def test_a_bundle_is_unpacked_once_and_named_after_its_model(folder, tmp_path, cache):
    path = zip_folder(folder, tmp_path / "any.zip")
    located = locate_model(str(path))
    assert located.path.name == "tiny"
    assert located.path.parent.parent == cache
    assert str(located.bundle) == (
        "tiny 1.0 (liver, tumour in CT), trained on nothing. For research and education: it is not "
        "a medical device."
    )
    before = located.path.stat().st_ino
    assert locate_model(str(path)).path.stat().st_ino == before
    assert sorted(one.name for one in cache.iterdir()) == [located.path.parent.name]


def test_a_cached_bundle_that_was_changed_is_unpacked_again(folder, tmp_path):
    path = zip_folder(folder, tmp_path / "any.zip")
    unpacked = locate_model(str(path)).path
    (unpacked / "run.json").write_text("{}")
    assert locate_model(str(path)).path == unpacked
    assert json.loads((unpacked / "run.json").read_text())["format"] == 1


def test_an_unpacked_bundle_is_checked_where_it_is(folder):
    assert locate_model(str(folder)).path == folder
    (folder / "model.keras").write_bytes(b"other")
    with pytest.raises(LiverSegError, match=r"model.keras as it was packed.*\(model "):
        locate_model(str(folder))


def test_a_cache_that_cannot_be_written_is_an_error_with_the_variable(
    folder, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIVERSEG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LiverSegError, match="Set LIVERSEG_CACHE to another folder"):
        locate_model(str(zip_folder(folder, tmp_path / "any.zip")))


def test_damage_is_found_without_a_framework(folder, tmp_path):
    path = tmp_path / "model.zip"
    _cut(0.5)(folder, path)
    code = (
        "import sys\nfrom click.testing import CliRunner\n"
        "from liverseg_tf.cli.main import liverseg\n"
        f"done = CliRunner().invoke(liverseg, ['predict', 'ct.nii.gz', '--model', {str(path)!r}, "
        "'-o', 'masks'])\n"
        "print(done.exit_code, done.output.count('\\n'), 'Error: Expected' in done.output, "
        "[n for n in ('tensorflow', 'keras', 'jax', 'torch') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1 True []\n"
