"""Properties of phantoms; a threshold must not be able to segment their liver."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.ct.nifti import read_labels, read_volume
from liverseg_tf.ct.orientation import Orientation, to_canonical
from liverseg_tf.ct.volume import check_same_grid
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom, write_phantoms

SMALL = PhantomSpec(shape=(24, 80, 80), spacing_mm=(9.0, 4.8, 4.8), organs=True)
TINY = PhantomSpec(shape=(12, 40, 40), spacing_mm=(18.0, 9.6, 9.6))
SEEDS = range(4)


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed, PhantomSpec(organs=True)) for seed in SEEDS]


@pytest.fixture(scope="module")
def canonical(phantoms):
    return [(to_canonical(image), to_canonical(labels)) for image, labels in phantoms]


def dice(one, other):
    return 2 * np.sum(one & other) / (one.sum() + other.sum())


def largest(mask):
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()


def best_threshold_dice(image, truth):
    """Dice of the best HU interval for one case, which is chosen with its ground truth."""
    raw = image.astype(np.float32)
    best = 0
    for scan in (raw, ndimage.gaussian_filter(raw, (0.5, 1, 1))):
        lows = np.percentile(scan[truth], [0.5, 2, 5, 10, 18])
        highs = np.percentile(scan[truth], [85, 93, 97, 99, 100])
        for low, high in ((low, high) for low in lows for high in highs):
            best = max(best, dice(largest((scan >= low) & (scan <= high)), truth))
    return best


def test_the_same_seed_gives_the_same_voxels():
    (image, labels), (again, labels_again) = (make_phantom(3, SMALL) for _ in range(2))
    np.testing.assert_array_equal(image.array, again.array)
    np.testing.assert_array_equal(labels.array, labels_again.array)
    np.testing.assert_array_equal(image.affine, again.affine)
    other, _ = make_phantom(4, SMALL)
    assert other.array.shape != image.array.shape or (other.array != image.array).any()


def test_image_and_labels_share_a_grid(phantoms):
    for image, labels in phantoms:
        check_same_grid(image, labels)
        assert image.array.dtype == np.int16
        assert labels.array.dtype == np.uint8
        assert image.array.flags.c_contiguous
        assert set(np.unique(labels.array)) <= {0, 1, 2, 3, 4}


def test_default_labels_are_liver_and_tumour():
    organs = make_phantom(0, SMALL)
    plain = make_phantom(0, PhantomSpec(shape=SMALL.shape, spacing_mm=SMALL.spacing_mm))
    np.testing.assert_array_equal(plain[0].array, organs[0].array)
    expected = np.where(organs[1].array > 2, 0, organs[1].array)
    np.testing.assert_array_equal(plain[1].array, expected)
    assert {3, 4} <= set(np.unique(organs[1].array))


def test_liver_lies_on_the_patients_right(phantoms):
    for image, labels in phantoms:
        centres = {}
        for name, mask in {
            "body": (image.array > -200),
            "liver": np.isin(labels.array, (1, 2)),
            "spleen": labels.array == 3,
        }.items():
            voxel = np.argwhere(mask).mean(0)[::-1]
            centres[name] = nib.affines.apply_affine(image.affine, voxel)
        # RAS+ mm grow to the patient's right.
        assert centres["liver"][0] > centres["body"][0] + 15
        assert centres["spleen"][0] < centres["body"][0] - 40


def test_liver_has_a_plausible_size_and_ends_within_the_scan(canonical):
    for _, labels in canonical:
        liver = np.isin(labels.array, (1, 2))
        assert 900 < liver.sum() * labels.voxel_volume_ml < 2300
        per_slice = liver.any((1, 2))
        assert not per_slice[0]
        assert not per_slice[-1]
        assert per_slice.mean() > 0.5
        assert dice(largest(liver), liver) > 0.995


def test_tissues_have_their_hounsfield_units(canonical):
    for image, labels in canonical:
        means = {label: image.array[labels.array == label].mean() for label in (1, 3, 4)}
        assert 70 < means[1] < 130
        assert abs(means[3] - means[1]) < 15
        spread = image.array[ndimage.binary_erosion(labels.array == 1, iterations=3)].std()
        assert 8 < spread < 30
        middle = image.array[len(image.array) // 2]
        assert np.mean((middle > -140) & (middle < -60)) > 0.05
        assert np.mean(image.array[-1] < -700) > 0.1
        assert image.array.max() > 250


@pytest.mark.slow
def test_tumours_are_darker_and_inside_the_liver():
    spec = PhantomSpec(tumours=4, spacing_mm=(5.0, 3.2, 3.2), shape=(40, 110, 110), organs=True)
    for seed in range(3):
        image, labels = make_phantom(seed, spec)
        tumour, liver = labels.array == 2, labels.array == 1
        assert tumour.any()
        grown = ndimage.binary_dilation(tumour)
        assert np.isin(labels.array[grown], (1, 2)).all()
        darker = image.array[liver].mean() - image.array[tumour].mean()
        assert 15 < darker < 65


def test_no_tumours():
    for seed in range(4):
        _, labels = make_phantom(seed, PhantomSpec(**{**vars(SMALL), "tumours": 0}))
        assert (labels.array == 1).any()
        assert not (labels.array == 2).any()


@pytest.mark.slow
def test_a_finer_grid_samples_the_same_anatomy():
    coarse, fine = (
        make_phantom(1, PhantomSpec(shape=shape, spacing_mm=mm, axes="LPS", oblique=0, noise_hu=0))[
            1
        ]
        for shape, mm in (((21, 51, 51), (9, 6, 6)), ((63, 153, 153), (3, 2, 2)))
    )
    assert dice(coarse.array > 0, fine.array[1::3, 1::3, 1::3] > 0) > 0.999


def test_padding_is_outside_the_field_of_view():
    lowest = []
    for seed in range(10):
        image, _ = make_phantom(seed, TINY)
        array = to_canonical(image).array
        lowest.append(int(array.min()))
        corner = array[:, 0, 0]
        assert (corner == corner[0]).all()
        assert corner[0] == lowest[-1]
        assert array[:, 20, 20].min() >= -1024
    assert set(lowest) == {-1024, -2048, -3024}


def test_axis_orders_vary_and_can_be_undone():
    orders, oblique = set(), 0
    for seed in range(10):
        image, labels = make_phantom(seed, TINY)
        orientation = Orientation.of(image.affine)
        orders.add(orientation)
        cosines = np.abs(image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0))
        oblique += not np.isclose(cosines, np.rint(cosines)).all()
        upright = to_canonical(labels)
        assert upright.array.shape == TINY.shape
        np.testing.assert_allclose(upright.spacing_mm, TINY.spacing_mm)
        columns = np.argwhere(np.isin(upright.array, (1, 2)))[:, 2]
        assert columns.mean() < 20
    assert len(orders) > 5
    assert 0 < oblique < 10


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SPL", "AIR"])
def test_axes_can_be_chosen(axes):
    image, _ = make_phantom(2, PhantomSpec(**{**vars(SMALL), "axes": axes, "oblique": 0}))
    assert "".join(nib.aff2axcodes(image.affine)) == axes


@pytest.mark.slow
def test_no_threshold_finds_the_liver(canonical):
    scores = [
        best_threshold_dice(image.array, np.isin(labels.array, (1, 2)))
        for image, labels in canonical
    ]
    print("best threshold's Dice:", np.round(scores, 3))
    assert np.mean(scores) < 0.8
    assert max(scores) < 0.9


@pytest.mark.slow
def test_mr_has_arbitrary_units_and_no_padding():
    levels = []
    for seed in range(4):
        spec = PhantomSpec(**{**vars(SMALL), "modality": "mr"})
        image, labels = make_phantom(seed, spec)
        assert image.array.dtype == np.int16
        assert image.array.min() >= 0
        levels.append(np.median(image.array[labels.array == 1]))
        assert np.percentile(image.array, 5) < 0.2 * levels[-1]
        np.testing.assert_array_equal(labels.array, make_phantom(seed, SMALL)[1].array)
    assert max(levels) > 2 * min(levels)


def test_written_phantoms_are_a_decathlon_dataset(tmp_path):
    names = []
    images = write_phantoms(tmp_path, 2, 5, SMALL, names.append)
    assert names == ["phantom_000", "phantom_001"]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "dataset.json",
        *(f"{kind}Tr/{name}.nii.gz" for kind in ("images", "labels") for name in names),
    ]
    described = json.loads((tmp_path / "dataset.json").read_text())
    assert described["numTraining"] == 2
    assert described["test"] == []
    assert described["labels"]["4"] == "kidney"
    for index, pair in enumerate(described["training"]):
        image, labels = make_phantom(5 + index, SMALL)
        assert tmp_path / pair["image"] == images[index]
        read = read_volume(tmp_path / pair["image"])
        np.testing.assert_array_equal(read.array, image.array)
        np.testing.assert_allclose(read.affine, image.affine, atol=1e-4)
        np.testing.assert_array_equal(read_labels(tmp_path / pair["label"]).array, labels.array)
        theirs = nib.load(tmp_path / pair["image"])
        np.testing.assert_array_equal(np.asarray(theirs.dataobj), image.array.T)


def test_default_dataset_lists_liver_and_tumour(tmp_path):
    write_phantoms(tmp_path, 1, 0, PhantomSpec(shape=(6, 32, 32)))
    described = json.loads((tmp_path / "dataset.json").read_text())
    assert described["labels"] == {"0": "background", "1": "liver", "2": "tumour"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"modality": "pet"},
        {"axes": "LPR"},
        {"axes": "xyz"},
        {"axes": "LP"},
        {"tumours": -1},
        {"noise_hu": -1.0},
        {"noise_hu": float("nan")},
        {"spacing_mm": (float("nan"), 1.0, 1.0)},
        {"spacing_mm": (1.0, float("inf"), 1.0)},
        {"shape": (1, 64, 64)},
        {"shape": (64, 64)},
        {"spacing_mm": (5.0, 0.0, 2.0)},
        {"oblique": 2.0},
    ],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(SettingsError, match="Expected"):
        PhantomSpec(**wrong)


def test_zero_phantoms_are_refused(tmp_path):
    with pytest.raises(LiverSegError, match="at least 1"):
        write_phantoms(tmp_path, 0)
