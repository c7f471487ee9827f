import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liverseg_tf.choices import LAYOUTS
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.grid_correction import GridCorrection
from liverseg_tf.dataset.cases import (
    _FIND_BY_LAYOUT,
    Case,
    case_name,
    detect_layout,
    find_cases,
    natural_sort_key,
)
from liverseg_tf.dataset.description import read_description
from liverseg_tf.dataset.reading import read_volumes
from liverseg_tf.errors import LiverSegError, SettingsError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def describe(folder, **content):
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def entry(image, label=None):
    return {"image": f"./imagesTr/{image}", "label": f"./labelsTr/{label or image}"}


def check_refused(folder, *words, layout=None):
    with pytest.raises(LiverSegError) as caught:
        find_cases(folder, layout)
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "Received" in message
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("layout", ["msd", "lits", "folder"])
def test_each_layout_is_recognised(tmp_path, make_dataset, layout):
    make_dataset(tmp_path, layout, 11)
    assert detect_layout(tmp_path) == layout
    cases = find_cases(tmp_path)
    assert cases == find_cases(tmp_path, layout)
    stem = "volume-" if layout == "lits" else "case_"
    assert [case.name for case in cases] == [f"{stem}{n}" for n in range(11)]
    for number, case in enumerate(cases):
        for path in (case.image, case.mask):
            assert path.is_file()
            assert str(number) in path.name


def test_nnunet_v1_lists_images_without_the_number_of_the_channel(tmp_path):
    names = ("a", "b", "c")
    describe(tmp_path, training=[entry(f"{name}.nii.gz") for name in names])
    touch(tmp_path, *(f"imagesTr/{name}_0000.nii.gz" for name in ("a", "b")))
    touch(tmp_path, "imagesTr/b_0001.nii.gz", "imagesTr/c.nii.gz", "imagesTr/c_0000.nii.gz")
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == list(names)
    images = [case.image.name for case in cases]
    assert images == ["a_0000.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert not cases[1].has_image  # two channels


def test_msd_reads_only_the_training_list(tmp_path):
    training = [entry("liver_10.nii.gz"), entry("._liver_2.nii.gz"), entry("liver_2.nii.gz")]
    describe(tmp_path, training=training, test=["./imagesTs/liver_3.nii.gz"], labels={"0": "b"})
    cases = find_cases(tmp_path)
    assert cases[0] == Case(
        "liver_2", tmp_path / "imagesTr/liver_2.nii.gz", tmp_path / "labelsTr/liver_2.nii.gz"
    )
    assert [case.name for case in cases] == ["liver_2", "liver_10"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, ("'training'",)),
        ({"training": {"a": 1}}, ("'training'",)),
        ({"training": ["./imagesTr/a.nii.gz"]}, ("image and label", "a.nii.gz")),
        ({"training": [{"image": "a.nii.gz"}]}, ("image and label",)),
        ({"training": [entry("a.nii.gz", "b.nii.gz")]}, ("a.nii.gz", "b.nii.gz")),
        ({"training": [entry("a.nii.gz")] * 2}, ("a twice",)),
        ({"training": [entry("../../a.nii.gz")]}, ("inside",)),
        ({"training": [{"image": "/etc/a.nii.gz", "label": "/etc/a.nii.gz"}]}, ("inside", "/etc")),
        ({"training": [{"image": 1, "label": 1}]}, ("entry 1", "one path each")),
        ({"training": [{"image": ["a.nii", "b.nii"], "label": "c.nii"}]}, ("one path each",)),
        ({"training": [{"image": "C:\\a.nii.gz", "label": "C:\\a.nii.gz"}]}, ("inside",)),
        ({"training": [entry("..\\..\\a.nii.gz")]}, ("inside",)),
        ({"training": [entry("a.png")]}, ("ending in", "a.png")),
        ({"training": []}, ("cases", "no files")),
        ({"training": [entry("._a.nii.gz")]}, ("cases", "no files")),
    ],
)
def test_invalid_descriptions(tmp_path, content, words):
    check_refused(describe(tmp_path, **content), *words)


def test_ambiguous_entries_do_not_affect_the_others(tmp_path):
    names = [("a", "a"), ("b", "b"), ("b", "b"), ("c", "x")]
    describe(tmp_path, training=[entry(f"{i}.nii.gz", f"{m}.nii.gz") for i, m in names])
    a, b, c = find_cases(tmp_path, allow_ambiguous=True)
    assert a.ambiguity is None
    assert "b twice" in b.ambiguity
    assert "c.nii.gz and x.nii.gz" in c.ambiguity


@pytest.mark.parametrize("prefix", [".\\", "", "./", "imagesTr/../"])
def test_entries_with_slashes_of_windows(tmp_path, prefix):
    """Paths that start with a dot were taken for hidden files, and their cases left out."""
    entries = [
        {"image": f"{prefix}imagesTr\\{name}", "label": f"{prefix}labelsTr\\{name}"}
        for name in ("a.nii.gz", "._a.nii.gz")
    ]
    (case,) = find_cases(describe(tmp_path, training=entries))
    assert case == Case("a", tmp_path / "imagesTr/a.nii.gz", tmp_path / "labelsTr/a.nii.gz")


def test_every_entry_is_a_case_or_an_error(tmp_path):
    entries = [entry("a.nii.gz"), entry("b.dcm"), entry("../../c.nii.gz"), "d", {"image": "e.nii"}]
    cases = find_cases(describe(tmp_path, training=entries), allow_ambiguous=True)
    assert [case.name for case in cases] == ["a", "b.dcm", "c", "entry_4", "entry_5"]
    assert [case.ambiguity is None for case in cases] == [True, False, False, False, False]
    with pytest.raises(LiverSegError, match=r"imagesTr/a\.nii\.gz. Received: no such file"):
        read_volumes(cases[0])


def test_paths_that_no_file_can_have():
    for path in (Path("a" * 300), Path("a\0")):
        assert not Case("a", path).has_image


@pytest.mark.parametrize(
    "labels", [["a"], {"x": "a"}, {"1": "a", "01": "b"}, {"300": "a"}, {"-1": "a"}, 1]
)
def test_labels_that_are_not_numbers_with_names(tmp_path, labels):
    with pytest.raises(LiverSegError, match="labels and modality"):
        read_description(describe(tmp_path, training=[], labels=labels))


def test_a_description_that_starts_with_a_byte_order_mark(tmp_path):
    text = json.dumps({"training": [entry("a.nii.gz")]})
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8-sig")
    assert [case.name for case in find_cases(tmp_path)] == ["a"]


def test_a_description_that_is_not_json(tmp_path):
    (tmp_path / "dataset.json").write_text("training:")
    check_refused(tmp_path, "dataset.json")


def test_lits_in_the_layout_of_kaggle(tmp_path):
    touch(
        tmp_path,
        *("volume_pt1/volume-0.nii", "volume_pt1/volume-10.nii", "volume_pt5/volume-9.nii"),
        *(f"segmentations/segmentation-{n}.nii" for n in (10, 9, 0)),
        *("volume_pt1/._volume-0.nii", "notes/volume-7.txt", "other/my-volume-1.nii"),
    )
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["volume-0", "volume-9", "volume-10"]
    for case in cases:
        number = case.name.removeprefix("volume-")
        assert case.image.name == f"volume-{number}.nii"
        assert case.mask == tmp_path / f"segmentations/segmentation-{number}.nii"


def test_lits_with_files_in_folders_of_the_same_name(tmp_path):
    touch(
        tmp_path,
        "LITS17-part1/volume_pt1/volume-0.nii/volume-0.nii",
        "LITS17-part1/segmentations/segmentation-0.nii/segmentation-0.nii",
        "LITS17-part1/segmentations/segmentation-70.nii",
        "LITS17-part2/volume_pt6/volume-70.nii",
    )
    (tmp_path / "LITS17-part2/volume_pt6/volume-71.nii").mkdir()  # an empty folder
    first, other, empty = find_cases(tmp_path)
    assert first.image == tmp_path / "LITS17-part1/volume_pt1/volume-0.nii/volume-0.nii"
    assert first.mask.is_file()
    assert other.image.is_file()
    assert other.mask.is_file()
    assert empty.name == "volume-71", "reading it reports the folder"


def test_lits_with_links_and_capital_letters(tmp_path):
    elsewhere = touch(tmp_path / "elsewhere", "volume-51.nii", "Volume-52.NII.GZ")
    lits = touch(tmp_path / "lits", "part1/segmentation-51.nii", "part1/SEGMENTATION-52.nii")
    (lits / "part2").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(lits)
    cases = find_cases(lits)
    assert [case.name for case in cases] == ["volume-51", "volume-52"]
    for case in cases:
        assert case.image.is_file()
        assert case.mask.is_file()


def test_lits_with_copies_of_masks(tmp_path):
    touch(tmp_path, "part1/volume-1.nii", "part1/segmentation-1.nii", "part2/segmentation-1.nii")
    (case,) = find_cases(tmp_path)
    assert case.mask == tmp_path / "part1/segmentation-1.nii"
    (tmp_path / "part2/segmentation-1.nii").write_text("another one")
    check_refused(tmp_path, "one file per case", "part1/segmentation-1", "part2/segmentation-1")


def test_lits_with_two_files_of_one_case(tmp_path):
    touch(tmp_path, "a/volume-1.nii", "b/volume-1.nii.gz", "segmentation-1.nii")
    check_refused(tmp_path, "one file per case", "a/volume-1.nii", "b/volume-1.nii.gz")


def test_folders_of_pairs(tmp_path):
    touch(tmp_path, "images/b.nii", "masks/b.nii.gz", "images/._b.nii", "images/notes.txt")
    assert find_cases(tmp_path) == [
        Case("b", tmp_path / "images/b.nii", tmp_path / "masks/b.nii.gz")
    ]


def test_images_in_formats_that_are_not_read_are_not_ignored(tmp_path):
    touch(tmp_path, "images/a.hdr", "images/a.img", "images/b.mgz", "images/b.json", "masks/c.nii")
    touch(tmp_path, "images/c.nii.bz2", "images/.d.hdr")
    cases = find_cases(tmp_path)
    assert [case.name for case in cases] == ["a.hdr", "b.mgz", "c", "c.nii.bz2"]
    (tmp_path / "images/b.mgz").write_bytes(gzip.compress(b"x"))
    for case, words in zip(cases[:2], ("a pair of", "another format"), strict=True):
        with pytest.raises(LiverSegError, match=words):
            read_volumes(case)


def test_folders_of_pairs_with_lits_names(tmp_path):
    touch(tmp_path, "images/volume-3.nii", "masks/segmentation-3.nii")
    (case,) = find_cases(tmp_path)
    assert case.mask.name == "segmentation-3.nii"


@pytest.mark.parametrize(
    ("image", "mask"),
    [("images/{}.nii.gz", "masks/{}.nii.gz"), ("volume-{}.nii", "segmentation-{}.nii")],
)
def test_files_without_partner_are_cases(tmp_path, image, mask):
    touch(tmp_path, image.format(1), mask.format(1), image.format(2), mask.format(3))
    both, image_alone, mask_alone = find_cases(tmp_path)
    assert both.mask is not None
    assert image_alone.image.is_file()
    assert image_alone.mask is None
    assert mask_alone.mask.is_file()
    assert not mask_alone.image.exists()


def test_two_files_of_the_same_name(tmp_path):
    touch(tmp_path, "images/a.nii", "images/a.nii.gz", "masks/a.nii")
    check_refused(tmp_path, "images/a.nii and", "images/a.nii.gz")


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (None, ("msd", "lits", "folder")),
        ("msd", ("dataset.json",)),
        ("lits", ("cases",)),
        ("folder", ("images/",)),
    ],
)
def test_a_folder_without_data(tmp_path, layout, words):
    check_refused(tmp_path, str(tmp_path), *words, layout=layout)


def test_empty_images(tmp_path):
    (tmp_path / "images").mkdir()
    check_refused(tmp_path, "cases", "no files")


def test_no_folder(tmp_path):
    check_refused(tmp_path / "nowhere", "nowhere")
    check_refused(touch(tmp_path, "file") / "file", "file")


def test_an_unknown_layout(tmp_path):
    with pytest.raises(SettingsError, match=r"msd, nnunet, lits, folder, dicom\. Received 'x'"):
        find_cases(tmp_path, "x")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/liver_1.nii.gz", "liver_1"),
        ("segmentation-12.nii", "volume-12"),
        ("volume-12.nii", "volume-12"),
        ("segmentation-12b.nii", "segmentation-12b"),
        ("a/dicom_folder", "dicom_folder"),
    ],
)
def test_names(file, name):
    assert case_name(file) == name


def test_natural_order_by_hand():
    ordered = ["a", "a1", "a2", "a2b", "a10", "a10b", "b"]
    shuffled = random.Random(0).sample(ordered, len(ordered))
    assert sorted(shuffled, key=natural_sort_key) == ordered


@given(st.lists(st.text("a01²٣_-", max_size=5), unique=True), st.randoms())
def test_natural_order_never_depends_on_the_input_order(names, rng):
    shuffled = rng.sample(names, len(names))
    assert sorted(shuffled, key=natural_sort_key) == sorted(names, key=natural_sort_key)


def test_every_layout_is_implemented():
    assert tuple(_FIND_BY_LAYOUT) == LAYOUTS


def test_a_case_is_one_line_in_a_notebook(tmp_path):
    case = Case("a", tmp_path / "images/a.nii", tmp_path / "masks/a.nii.gz")
    assert repr(case) == "Case(name: a; image: a.nii; mask: a.nii.gz)"
    series = DicomSeries("1.2.3", (tmp_path / "ct/1.dcm",), number="4")
    corrected = Case("b", series, None, GridCorrection("LPS"), "two files")
    assert repr(corrected) == (
        f"Case(name: b; image: series 4 1.2.3 in {tmp_path}/ct; mask: none; corrected header; "
        "ambiguous files)"
    )


def test_names_that_no_record_can_contain_are_refused(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "set", count=2)
    name = b"caf\xe9.nii.gz".decode(errors="surrogateescape")
    for part in ("images", "masks"):
        (folder / part / "case_0.nii.gz").rename(folder / part / name)
    with pytest.raises(LiverSegError, match=r"in UTF-8\. Received caf\\xe9: rename the files"):
        find_cases(folder)
    faults = [case.ambiguity is None for case in find_cases(folder, allow_ambiguous=True)]
    assert sorted(faults) == [False, True]
