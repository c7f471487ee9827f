"""Each kind of issue has a file that triggers it, and a clean data set triggers none."""

import json
import os

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.intensity import Window
from liverseg_tf.ct.nifti import read_volume, write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.case_corrections import CaseCorrections
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.dataset.check import check_cases as check_module
from liverseg_tf.dataset.check.check_cases import check_cases
from liverseg_tf.dataset.check.rules import CheckSettings, choose_check_settings
from liverseg_tf.dataset.description import read_description
from liverseg_tf.errors import LiverSegError
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom, write_phantoms

pytestmark = pytest.mark.usefixtures("in_this_process")

CLEAN = PhantomSpec(shape=(12, 56, 56), spacing_mm=(22, 8, 8), axes="LPS", oblique=0, tumours=2)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return [make_phantom(seed, CLEAN) for seed in (3, 4, 5)]


@pytest.fixture
def write(tmp_path, phantoms):
    """A function that writes the clean cases a, b and c, changes c, and checks them."""

    def written(change=lambda image, mask: (image, mask), expected=None, **corrections):
        for name, volumes in zip("abc", phantoms, strict=True):
            image, mask = change(*volumes) if name == "c" else volumes
            write_volume(tmp_path / f"images/{name}.nii", image)
            if mask is not None:
                write_volume(tmp_path / f"masks/{name}.nii", mask)
        cases = CaseCorrections(**corrections).apply(find_cases(tmp_path))
        return check_cases(cases, expected or CheckSettings())

    return written


def values(function):
    """A change of only the values of the image."""

    def change(image, mask):
        return Volume(np.ascontiguousarray(function(image.array)), image.affine), mask

    return change


def labels(function):
    def change(image, mask):
        return image, Volume(function(mask.array.copy()), mask.affine)

    return change


def only(checked, severity, kind, text):
    """Return the only issue, which is about case c; notes on the padding are ignored."""
    (issue,) = (issue for issue in checked.issues if issue.kind != "padding")
    assert (issue.severity, issue.kind, issue.case) == (severity, kind, "c")
    assert text in issue.text
    assert "\n" not in str(issue)
    return issue


def test_a_clean_data_set(write):
    checked = write()
    assert {issue.kind for issue in checked.issues} <= {"padding"}
    assert list(checked.measurements) == ["a", "b", "c"]


@pytest.mark.parametrize("axes", ["RAS", "SPR", "LAI"])
def test_any_file_order_is_clean(tmp_path, axes):
    spec = PhantomSpec(shape=CLEAN.shape, spacing_mm=CLEAN.spacing_mm, axes=axes, tumours=1)
    write_phantoms(tmp_path, 2, 10, spec)
    checked = check_cases(find_cases(tmp_path), CheckSettings())
    assert {issue.severity for issue in checked.issues} <= {"note"}


def test_the_real_ct_is_clean(shared_data):
    folder = shared_data / "Task03_Liver"
    expected, issues = choose_check_settings(read_description(folder), None)
    assert issues == []
    assert expected.regions.names == ("liver", "cancer")
    checked = check_cases(find_cases(folder), expected)
    assert [issue.kind for issue in checked.issues] == ["padding"]
    (measurements,) = checked.measurements.values()
    assert measurements.shape == (75, 512, 512)
    assert measurements.labels[1] * measurements.voxel_ml == pytest.approx(1360, rel=0.01)


def test_a_real_ct_whose_liver_is_cut(shared_data):
    folder = shared_data / "totalsegmentator_example"
    case = Case("c", folder / "ct.nii.gz", folder / "liver_auto.nii.gz")
    checked = check_cases([case], CheckSettings(CheckSettings().regions))
    kinds = {issue.kind: issue.text for issue in checked.issues}
    assert kinds == {
        "cut liver": "liver cut off at the highest slice",
        "no tumour": "no tumour (label 2)",
    }


@pytest.mark.parametrize("flips", [(0, "S", "left"), (1, "P", "front"), (2, "S", "below")])
def test_a_real_ct_that_is_mirrored(shared_data, tmp_path, flips):
    axis, _, word = flips
    folder = shared_data / "Task03_Liver"
    image = read_volume(folder / "imagesTr/liver_0.nii.gz")
    mask = read_volume(folder / "labelsTr/liver_0.nii.gz")
    for name, volume in (("images", image), ("masks", mask)):
        array = np.ascontiguousarray(np.flip(volume.array, 2 - axis)[:, ::4, ::4])
        coarse = Volume(array, volume.affine @ np.diag([4, 4, 1, 1]))
        write_volume(tmp_path / name / "c.nii", coarse)
    (issue,) = (r for r in _check(tmp_path).issues if r.kind == "orientation")
    assert word in issue.text
    axes = issue.text.split()[-1]
    cases = CaseCorrections([f"c={axes}"]).apply(find_cases(tmp_path))
    kinds = {issue.kind for issue in check_cases(cases, CheckSettings()).issues}
    assert "orientation" not in kinds, "the proposed orientation is correct"


def _check(folder):
    return check_cases(find_cases(folder), CheckSettings())


def hu_scaled(slope, intercept):
    return lambda a: (np.maximum(a, -1024) * slope + intercept).astype(np.int32)


def as_unsigned(array):
    return array.astype(np.int16).view(np.uint16).astype(np.int32)


NO_HU = {  # a pattern of the reason
    "8 bit": (lambda a: np.clip((a + 200) // 2, 0, 255).astype(np.uint8), "8-bit image"),
    "8 bit signed": (lambda a: a.astype(np.int8), "8-bit image"),
    "0 to 1": (lambda a: np.clip((a + 200) / 450, 0, 1).astype(np.float32), "normalised"),
    "-1 to 1": (lambda a: np.clip(a / 500, -1, 1).astype(np.float32), "normalised"),
    "divided by 1000": (lambda a: (a / 1000).astype(np.float32), "normalised"),
    "divided by 10": (lambda a: (np.maximum(a, -1024) / 10).astype(np.float32), "8-bit"),
    "divided by 10, rounded": (lambda a: np.rint(np.maximum(a, -1024) / 10), "8-bit"),
    "divided by 5": (lambda a: (np.maximum(a, -1024) / 5).astype(np.float32), "another range"),
    "times 10": (hu_scaled(10, 0), "wrong scale"),
    "times 2": (hu_scaled(2, 1024), "rescale intercept"),
    "no intercept": (lambda a: np.maximum(a, -1024) + 1024, "intercept left out"),
    "no intercept, noise below 0": (hu_scaled(1, 1000), "intercept left out"),
    "no intercept, negative padding": (
        lambda a: np.where(a < -1500, -2000, np.maximum(a, -1024) + 1024),
        "intercept left out",
    ),
    "intercept of half": (hu_scaled(1, 500), "most tissue has about"),
    "intercept twice": (hu_scaled(1, -1024), "rescale intercept"),
    "inverted": (hu_scaled(-1, 0), "dense as bone"),
    "inverted, positive": (hu_scaled(-1, 3071), "not HU"),
    "inverted, clipped": (lambda a: -np.maximum(a, -500), "inverted"),
    "intercept of a quarter": (hu_scaled(1, 256), "air has -"),
    "times 10, noise in air": (
        lambda a: np.maximum(a, -1024) * 10 - np.arange(a.size).reshape(a.shape) % 97,
        "wrong scale",
    ),
    "unsigned": (as_unsigned, "read as unsigned"),
    "a mask": (lambda a: (a > -300).astype(np.uint8), "normalised"),
    "MR": (lambda a: np.maximum(a + 900, 0) // 3, "not HU"),
    "MR with overshoot": (lambda a: np.maximum(a + 900, 0) // 3 - 12 * (a == a.max()), "not HU"),
}


@pytest.mark.parametrize("name", NO_HU)
def test_values_that_are_not_hu(write, name):
    change, reason = NO_HU[name]
    checked = write(values(lambda a: np.asarray(change(a))))
    only(checked, "error", "values", reason)


def crop(array):
    """A part of the body without air around it."""
    return np.where(array < -250, 30 + np.arange(array.size).reshape(array.shape) % 97, array)


def blurred(array):
    return np.clip(array, -200, 250) + np.random.default_rng(0).integers(-3, 4, array.shape)


def stepped(array):
    """As stored with 8 bits: in steps of 400 / 255 HU, rounded to integers."""
    steps = np.rint((np.clip(array, -125.0, 275.0) + 125) * 255 / 400)
    return np.floor(steps * 400 / 255 - 125).astype(np.int16)


LIVER, SOFT, BRAIN = Window(25, 450), Window(75, 400), Window(40, 80)


@pytest.mark.parametrize(
    ("function", "window", "severity", "text"),
    [
        (lambda a: np.clip(a, -200, 250), LIVER, "warning", "below -200 and above 250 HU"),
        (lambda a: np.clip(a, -125, 275), LIVER, "error", "window of -200 to 250 HU"),
        (lambda a: np.clip(a, -200, 200), LIVER, "error", "window of -200 to 250 HU"),
        (lambda a: np.clip(a, -1024, 100), LIVER, "error", "clipped above 100 HU"),
        (lambda a: np.clip(a, -1024, 100), BRAIN, "warning", "clipped above 100 HU"),
        (lambda a: np.clip(a, -1024, 100), None, "warning", "clipped above 100 HU"),
        (lambda a: np.clip(a, -500, 3000), LIVER, "warning", "clipped below -500 HU"),
        (stepped, SOFT, "warning", "clipped below -125 and above 275 HU"),
        (stepped, LIVER, "error", "window of -200 to 250 HU"),
        (blurred, Window(0, 500), "error", "window of -250 to 250 HU"),
        (blurred, Window(25, 300), "warning", "clipped below"),
        (lambda a: np.clip(a, -100, 100), BRAIN, "warning", "below -100 and above 100 HU"),
    ],
)  # fmt: skip
def test_clipped_hu_are_an_error_only_where_the_window_reaches_further(
    write, function, window, severity, text
):
    settings = CheckSettings(windows=() if window is None else (window,))
    only(write(values(function), settings), severity, "clipped", text)


def test_every_window_counts(write):
    settings = CheckSettings(windows=(SOFT, Window(300, 1500)))
    only(write(values(stepped), settings), "error", "clipped", "window of -450 to 1050 HU")


def test_a_crop_without_air_is_a_warning(write):
    only(write(values(crop), CheckSettings(windows=(LIVER,))), "warning", "air", "no air")


@pytest.mark.parametrize("change", [lambda a: a * 0 + 7, lambda a: a * np.float32(np.nan)])
def test_an_image_without_contrast(write, change):
    kinds = {issue.kind: issue for issue in write(values(change)).issues}
    assert "all voxels have the same value" in kinds["contrast"].text
    assert "values" not in kinds


def test_a_few_nan(write):
    def spoil(array):
        array = array.astype(np.float32)
        array[3, 3] = np.nan
        return array

    only(write(values(spoil)), "error", "not finite", "0.15 % of the voxels")


def test_a_missing_intercept_with_padding(write):
    def shift(array):
        array = np.maximum(array, -1024) + 1024
        array[:, 0] = -2000
        return array

    checked = write(values(shift))
    (issue,) = (issue for issue in checked.issues if issue.severity != "note")
    assert (issue.severity, issue.kind) == ("error", "values")
    assert "intercept left out?" in issue.text


def test_padding_is_a_note(write):
    def pad(array):
        array = array.copy()
        array[:, 0] = -3024
        return array

    checked = write(values(pad))
    assert ("note", "c") in {(r.severity, r.case) for r in checked.issues if r.kind == "padding"}


def test_mr_needs_no_hu(tmp_path):
    write_phantoms(tmp_path, 2, 0, PhantomSpec(shape=(8, 48, 48), modality="mr"))
    description = read_description(tmp_path)
    assert not description.is_ct
    expected, (issue,) = choose_check_settings(description, None)
    assert (issue.severity, issue.case) == ("error", None)
    assert "--percentiles" in issue.text
    assert choose_check_settings(description, None, CheckSettings(has_hu=False))[1] == []
    assert not expected.has_hu
    kinds = {issue.kind for issue in check_cases(find_cases(tmp_path), expected).issues}
    assert not kinds & {"values", "orientation", "padding"}


def test_a_header_without_geometry(write):
    def drop(image, mask):
        return [Volume(volume.array, np.eye(4)) for volume in (image, mask)]

    issues = {issue.kind: issue for issue in write(drop).issues}
    assert issues["geometry"].severity == "error"
    assert "--spacing-of" in issues["geometry"].text
    # the identity is RAS and the phantom is LPS, which the anatomy shows
    assert issues["orientation"].text.endswith("its axes are probably LPS")
    spacing = ",".join(map(str, CLEAN.spacing_mm[::-1]))
    checked = write(drop, orientations=["c=LPS"], spacings=[f"c={spacing}"])
    assert {issue.kind for issue in checked.issues} <= {"padding"}


@pytest.mark.parametrize(
    ("axis", "axes", "reason"),
    [(0, "RPS", "liver on the left"), (1, "LAS", "spine in front"), (2, "LPI", "lungs below")],
)
def test_a_mirrored_case(write, axis, axes, reason):
    def mirror(image, mask):
        return [
            volume.with_array(np.ascontiguousarray(np.flip(volume.array, 2 - axis)))
            for volume in (image, mask)
        ]

    issue = only(write(mirror), "warning", "orientation", reason)
    assert issue.text.endswith(f"its axes are probably {axes}")
    assert issue.text.count(",") == 0
    checked = write(mirror, orientations=[f"c={axes}"])
    assert {issue.kind for issue in checked.issues} <= {"padding"}


@pytest.mark.parametrize(
    ("factors", "text"),
    [((1, 1, 0.1), "slice spacing 2.2 mm"), ((0.3, 0.3, 1), "in-plane spacing 2.4 mm")],
)
def test_spacing_outliers(write, factors, text):
    def rescale(image, mask):
        affine = image.affine @ np.diag([*factors, 1])
        return [Volume(volume.array, affine) for volume in (image, mask)]

    spacing = [r for r in write(rescale).issues if r.kind == "spacing"]
    assert [(r.case, r.severity) for r in spacing] == [("c", "warning")]
    assert text in spacing[0].text


def test_a_mask_on_another_grid(write):
    def shift(image, mask):
        return image, Volume(mask.array, nib.affines.from_matvec(mask.affine[:3, :3], (90, 0, 0)))

    only(write(shift), "error", "grid", "--same-voxels")
    assert write(shift, same_voxels=["c"]).count("error") == 0

    def crop(image, mask):
        return image, Volume(mask.array[1:], mask.affine)

    only(write(crop), "error", "grid", "shapes")


def test_a_case_without_a_mask(write):
    only(write(lambda image, mask: (image, None)), "error", "no mask", "no mask")


def binary(array):
    return np.where(array > 0, 255, 0).astype(np.uint8)


def unknown(array):
    array[array == 2] = 9
    array[5, 28, 20] = 2
    return array


@pytest.mark.parametrize(
    ("function", "severity", "kind", "text"),
    [
        (binary, "error", "labels", "only label 255, expected labels 1, 2 (a mask of 0 and 255?)"),
        (unknown, "warning", "labels", "unknown label 9 (known: labels 1, 2)"),
        (lambda a: a * 0, "warning", "empty", "mask is empty"),
        (lambda a: np.minimum(a, 1), "note", "no tumour", "no tumour (label 2)"),
    ],
)
def test_labels(write, function, severity, kind, text):
    only(write(labels(function)), severity, kind, text)


def test_labels_of_the_description_are_known(write):
    expected = CheckSettings(known_labels=(1, 2, 9))
    assert write(labels(unknown), expected).count("warning") == 0


def test_a_missing_first_region_is_a_warning(write):
    from liverseg_tf.ct.regions import Regions

    expected = CheckSettings(Regions({"spleen": (3,), "liver": (1, 2)}))
    warnings = [r for r in write(expected=expected).issues if r.severity == "warning"]
    assert [(r.case, r.text) for r in warnings] == [(n, "no spleen (label 3)") for n in "abc"]


@pytest.mark.parametrize("fraction", [0.5, 0.99999])
def test_labels_stored_as_floats(write, fraction):
    checked = write(labels(lambda a: (a * np.float32(fraction)).astype(np.float32)))
    if fraction == 0.5:
        only(checked, "error", "unreadable", "whole numbers as labels")
    else:  # rounded: they are what is meant
        assert {issue.kind for issue in checked.issues} <= {"padding"}


@pytest.mark.parametrize(
    ("place", "face"),
    [
        ((0, 20, 20), "lowest slice"),
        ((-1, 20, 20), "highest slice"),
        ((5, 0, 20), "front edge"),
        ((5, -1, 20), "back edge"),
        ((5, 20, 0), "right edge"),
        ((5, 20, -1), "left edge"),
    ],
)
def test_a_region_at_the_border(write, place, face):
    def touch(array):
        array[place] = 1
        return array

    only(write(labels(touch)), "warning", "cut liver", f"liver cut off at the {face}")


def test_one_image_under_two_names(write, phantoms):
    issue = only(write(lambda *_: phantoms[0]), "error", "duplicate", "the same voxels as a")
    assert issue.case == "c"


@pytest.mark.parametrize("broken", ["image", "mask"])
def test_unreadable_files_and_the_order_of_the_issues(tmp_path, write, broken):
    write(labels(lambda a: np.minimum(a, 1)))
    path = tmp_path / f"{broken}s/b.nii"
    path.write_bytes(path.read_bytes()[:-100])
    checked = _check(tmp_path)
    first = checked.issues[0]
    assert (first.severity, first.kind, first.case) == ("error", "unreadable", "b")
    assert "truncated" in first.text
    assert "b.nii" in first.text
    assert list(checked.measurements) == ["a", "c"]
    order = [issue.severity for issue in checked.issues]
    assert order == sorted(order, key=["error", "warning", "note"].index)


def test_a_sheared_grid(write):
    def shear(image, mask):
        header = nib.Nifti1Header()
        header.set_data_shape(image.array.shape[::-1])
        affine = image.affine.copy()
        affine[0, 2] = 5
        header.set_sform(affine, code=1)
        return Volume(image.array, image.affine, header), mask

    only(write(shear), "error", "unreadable", "sheared")


def test_a_worker_that_dies(write, monkeypatch):
    def died(function, jobs, workers):
        died = LiverSegError("The worker died: use fewer workers.")
        yield from ((index, died if index == 2 else function(jobs[index])) for index in (2, 1, 0))

    monkeypatch.setattr(check_module, "run_jobs", died)
    checked = write()
    only(checked, "error", "unreadable", "worker died")
    assert list(checked.measurements) == ["a", "b"]


def test_progress_is_reported_for_every_case(tmp_path, phantoms):
    write_volume(tmp_path / "images/a.nii", phantoms[0][0])
    seen = []
    check_cases(find_cases(tmp_path), CheckSettings(), on_case=seen.append)
    assert seen == ["a"]


def test_a_channel(tmp_path, phantoms):
    image, mask = phantoms[0]
    both = np.stack([image.array.T, image.array.T[::-1]], -1)
    os.makedirs(tmp_path / "images")
    nib.save(nib.Nifti1Image(both, image.affine), tmp_path / "images/a.nii")
    write_labels(tmp_path / "masks/a.nii", mask)
    assert "--channel" in _check(tmp_path).issues[0].text
    assert check_cases(find_cases(tmp_path), CheckSettings(channel=0)).count("error") == 0


@pytest.mark.parametrize(
    "content", [{"labels": {"liver": "1"}}, {"labels": ["liver"]}, {"modality": ["CT"]}]
)
def test_an_invalid_description(tmp_path, content):
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(LiverSegError, match=r"^Expected labels and modality .* Received"):
        read_description(tmp_path)
