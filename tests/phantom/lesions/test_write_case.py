import csv
import json
import shutil

import numpy as np
import pytest

from liverseg_tf.choices import LESION_KINDS
from liverseg_tf.ct.nifti import read_labels, read_volume, write_labels, write_volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lesions.write_case import LesionWriter
from tests.support.commands import run_liverseg


@pytest.fixture
def dataset(tmp_path, organ):
    """A data set of images/ and masks/ with two cases of the same voxels, and one image more."""
    folder = tmp_path / "set"
    for name in ("one", "two"):
        write_volume(folder / "images" / f"{name}.nii.gz", organ[0])
        write_labels(folder / "masks" / f"{name}.nii.gz", organ[1])
    write_volume(folder / "images" / "unlabelled.nii.gz", organ[0])
    return folder


def test_the_command_writes_a_data_set_of_the_same_layout(dataset, tmp_path, organ):
    out = tmp_path / "lesions"
    arguments = ("phantom", out, "--lesions-in", dataset, "--seed", 4, "--tumours", 2)
    done = run_liverseg(*arguments, "--lesion-label", 9, "--lesion-kind", "hypodense")
    assert done.exit_code == 0, done.output
    assert "4 lesions of" in done.stdout
    assert "1 case has no mask" in done.stderr
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        *(f"images/{name}.nii.gz" for name in ("one", "two")),
        *("lesions.csv", "lesions.json"),
        *(f"masks/{name}.nii.gz" for name in ("one", "two")),
    ]
    image, labels = (read(out / part / "one.nii.gz") for read, part in _PARTS)
    np.testing.assert_array_equal(image.affine, organ[0].affine)
    assert image.array.dtype == np.int16
    assert set(np.unique(labels.array)) == {0, 1, 3, 9}
    # the lesions depend on the name of the case, and are the same in the next run
    other = read_labels(out / "masks" / "two.nii.gz")
    assert not np.array_equal(other.array, labels.array)
    with open(out / "lesions.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["one", "one", "two", "two"]
    row = rows[0]
    assert row["kind"] == "hypodense"
    assert float(row["contrast_hu"]) < -5
    assert labels.array[int(row["k"]), int(row["j"]), int(row["i"])] == 9
    assert json.loads((out / "lesions.json").read_text())["cases"]["two"][1]["kind"] == "hypodense"
    content = (out / "images" / "one.nii.gz").read_bytes()
    again = run_liverseg(*arguments, "--lesion-label", 9, "--lesion-kind", "hypodense")
    assert again.exit_code == 0
    assert (out / "images" / "one.nii.gz").read_bytes() == content


_PARTS = ((read_volume, "images"), (read_labels, "masks"))


def test_a_decathlon_data_set_stays_one(tmp_path, organ):
    dataset = tmp_path / "set"
    write_volume(dataset / "imagesTr" / "a.nii.gz", organ[0])
    write_labels(dataset / "labelsTr" / "a.nii.gz", organ[1])
    description = {
        "labels": {"0": "background", "1": "liver"},
        "modality": {"0": "CT"},
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in ("a", "missing")
        ],
        "test": ["./imagesTs/b.nii.gz"],
    }
    (dataset / "dataset.json").write_text(json.dumps(description))
    done = run_liverseg("phantom", tmp_path / "new", "--lesions-in", dataset)
    assert done.exit_code == 1  # of the missing case
    assert "missing" in done.stderr
    new = json.loads((tmp_path / "new" / "dataset.json").read_text())
    assert new["labels"] == {"0": "background", "1": "liver", "2": "lesion"}
    assert [entry["image"] for entry in new["training"]] == ["./imagesTr/a.nii.gz"]
    assert (new["numTraining"], new["test"]) == (1, [])
    assert (read_labels(tmp_path / "new" / "labelsTr" / "a.nii.gz").array == 2).any()


def test_images_of_other_formats_become_nifti(tmp_path, organ):
    sources = {"a": (tmp_path / "set" / "images" / "a.mha", tmp_path / "set" / "masks" / "a.nii")}
    writer = LesionWriter(tmp_path / "set", tmp_path / "new", sources, 0, LesionSpec())
    writer.write("a", *organ)
    writer.finish()
    assert (tmp_path / "new" / "images" / "a.nii.gz").is_file()
    assert (tmp_path / "new" / "masks" / "a.nii.gz").is_file()
    assert all(record.kind in LESION_KINDS for record in writer.records["a"])


def test_a_case_that_fails_counts_no_lookalikes(tmp_path, organ):
    image, labels = organ
    nothing = labels.with_array(np.zeros_like(labels.array))
    spec = LesionSpec(lookalikes=("fat",))
    sources = {"a": (tmp_path / "set" / "images" / "a.nii", tmp_path / "set" / "masks" / "a.nii")}
    writer = LesionWriter(tmp_path / "set", tmp_path / "new", sources, 0, spec)
    with pytest.raises(LiverSegError):
        writer.write("a", image, nothing)
    assert writer.lookalikes == writer.records == {}


def test_the_originals_are_never_replaced(dataset, tmp_path):
    for out in (dataset, dataset / "images", tmp_path / "x" / ".." / "set"):
        with pytest.raises(SettingsError, match="outside of the data set"):
            LesionWriter(dataset, out, {}, 0, LesionSpec())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lesions-in", "SET", "--count", "3"], "--count together with --lesions-in"),
        (["--lesion-kind", "rim"], "--lesion-kind without --lesions-in"),
        (["--lesions-in", "SET", "--tumours", "0"], "at least 1 tumour"),
        (["--lesions-in", "SET", "--lesion-diameter", "9", "3"], "the smaller one first"),
        (["--lesions-in", "SET", "--organ-label", "2"], "not one of the organ"),
    ],
)
def test_options_without_effect_are_refused(dataset, tmp_path, options, message):
    words = [str(dataset) if word == "SET" else word for word in options]
    done = run_liverseg("phantom", tmp_path / "out", *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_data_set_with_unlabelled_slices_is_refused(dataset, tmp_path):
    copy = tmp_path / "sparse"
    shutil.copytree(dataset, copy)
    (copy / "labelled_slices.csv").write_text("case,slices\n*,every=2\n")
    done = run_liverseg("phantom", tmp_path / "out", "--lesions-in", copy)
    assert done.exit_code == 1
    assert "masks that label every slice" in done.stderr
    assert not (tmp_path / "out").exists()
