"""The files of a data set of nnU-Net v2, found by name, and what is refused."""

import json

import pytest

from liverseg_tf.dataset.cases import Case, detect_layout, find_cases, find_nnunet_cases
from liverseg_tf.dataset.nnunet_entries import find_images_of_labels, split_channel
from liverseg_tf.errors import LiverSegError

LABELS = {"background": 0, "liver": 1}


@pytest.fixture
def make(tmp_path):
    """A function: names of files to a data set of nnU-Net with these files."""

    def make(*names, folder="Dataset042_Liver", **changes):
        root = tmp_path / folder
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        content = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz"}
        root.mkdir(exist_ok=True)
        (root / "dataset.json").write_text(json.dumps(content | changes))
        return root

    return make


def test_images_and_masks_are_paired_by_name(make):
    root = make(
        *(f"imagesTr/{name}_0000.nii.gz" for name in ("case_10", "case_2", "FLARE22_Tr_0001")),
        *(f"labelsTr/{name}.nii.gz" for name in ("case_10", "case_2", "FLARE22_Tr_0001")),
        "imagesTr/._case_2_0000.nii.gz",
        *("imagesTs/test_1_0000.nii.gz", "imagesTs/test_2_0000.nii.gz", "labelsTs/test_1.nii.gz"),
    )
    assert detect_layout(root) == "nnunet"
    cases = find_cases(root)
    assert cases == find_cases(root, "nnunet")
    assert [case.name for case in cases] == ["FLARE22_Tr_0001", "case_2", "case_10"]
    assert cases[1].image == root / "imagesTr/case_2_0000.nii.gz"
    assert cases[1].mask == root / "labelsTr/case_2.nii.gz"
    test = find_nnunet_cases(root, "Ts")
    assert [case.name for case in test] == ["test_1", "test_2"]
    assert (test[0].mask, test[1].mask) == (root / "labelsTs/test_1.nii.gz", None)
    images = find_images_of_labels(root / "labelsTr")
    assert images["FLARE22_Tr_0001"] == cases[0].image
    assert find_images_of_labels(root) == {}


def test_a_file_that_does_not_fit_is_a_problem_of_its_case(make):
    root = make(
        *("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"),
        *("imagesTr/b.nii.gz", "labelsTr/b.nii.gz"),  # nnU-Net would call it something else
        *("imagesTr/c_0000.nii.gz", "labelsTr/c.nii"),
        *("imagesTr/d_0000.nrrd", "labelsTr/e.nii.gz"),
        "imagesTr/readme.txt",
    )
    cases = {case.name: case for case in find_cases(root, allow_ambiguous=True)}
    assert cases.pop("a").ambiguity is None
    problems = {name: case.ambiguity for name, case in cases.items()}
    assert "Received b.nii.gz." in problems["b.nii.gz"]
    assert "masks ending in .nii.gz" in problems["c"]
    assert "Received d_0000.nrrd." in problems["d_0000.nrrd"]
    assert cases["e"].image.name == "e_0000.nii.gz"  # missing, which reading it reports
    assert not cases["b"].has_image
    assert all("\n" not in problem for problem in problems.values() if problem)


def test_several_channels_are_refused(make):
    root = make(
        "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", channel_names={"0": "T2", "1": "ADC"}
    )
    with pytest.raises(LiverSegError, match=r"one channel .* 2 \(T2, ADC\): copy the files of one"):
        find_cases(root)
    root = make("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", folder="Dataset1_MR")
    with pytest.raises(LiverSegError, match=r"a_0001.nii.gz, which names another channel: copy"):
        find_cases(root)


def test_folders_that_are_missing(make):
    with pytest.raises(LiverSegError, match="a folder imagesTr/"):
        find_cases(make("labelsTr/a.nii.gz"))
    with pytest.raises(LiverSegError, match="Expected cases"):
        find_cases(make("imagesTr/readme.txt", folder="empty"))


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_other_endings(make, ending):
    root = make(f"imagesTr/a_0000{ending}", f"labelsTr/a{ending}", file_ending=ending)
    (case,) = find_cases(root)
    assert case == Case("a", root / f"imagesTr/a_0000{ending}", root / f"labelsTr/a{ending}")


def test_listed_files(make):
    good = {"images": ["ct/one_0000.nii.gz"], "label": "./masks\\one.nii.gz"}
    root = make("ct/one_0000.nii.gz", "masks/one.nii.gz", dataset={"one": good})
    (case,) = find_cases(root)
    assert case == Case("one", root / "ct/one_0000.nii.gz", root / "masks/one.nii.gz")


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("a", {"images": ["a.nii.gz", "b.nii.gz"], "label": "a.nii.gz"}, "Received 2 images"),
        ("a", {"images": "a.nii.gz", "label": "a.nii.gz"}, "list of one path"),
        ("a", {"images": ["a.nii.gz"], "label": 1}, "a path as label"),
        ("a", ["a.nii.gz"], "list of one path"),
        ("a", {"images": ["../a.nii.gz"], "label": "a.nii.gz"}, r"inside .* \.\./a\.nii\.gz: link"),
        ("a", {"images": ["/etc/a.nii.gz"], "label": "a.nii.gz"}, "inside"),
        ("a", {"images": ["C:\\a.nii.gz"], "label": "a.nii.gz"}, "inside"),
        ("a", {"images": ["a.nii"], "label": "a.nii.gz"}, "ending in .nii.gz"),
        ("../a", {"images": ["a.nii.gz"], "label": "a.nii.gz"}, "valid as file names"),
        (".a", {"images": ["a.nii.gz"], "label": "a.nii.gz"}, "valid as file names"),
        ("a\0", {"images": ["a.nii.gz"], "label": "a.nii.gz"}, "valid as file names"),
    ],
)
def test_listed_files_that_are_refused(make, name, files, words):
    with pytest.raises(LiverSegError, match=words) as error:
        find_cases(make(dataset={name: files}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("stem", "split"),
    [
        ("liver_0_0000", ("liver_0", "0000")),
        ("liver_0", None),
        ("_0000", None),
        ("0000", None),
        ("liver_00000", None),
        ("liver_" + 4 * "\u0660", None),
    ],
)
def test_the_number_of_the_channel(stem, split):
    assert split_channel(stem) == split
