import csv

import numpy as np
import pytest
from scipy import ndimage

from liverseg_tf.choices import LOOKALIKES
from liverseg_tf.ct.nifti import read_labels, write_labels, write_volume
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.errors import SettingsError
from liverseg_tf.phantom.lesions.placement import OrganMap
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lookalikes.add_lookalikes import add_lookalikes
from liverseg_tf.phantom.lookalikes.forms import Sheet, Tree, Wedge
from liverseg_tf.phantom.lookalikes.landmarks import LANDMARKS, choose_landmark
from tests.phantom.lesions.conftest import LEVEL, SPACING, make_organ
from tests.support.commands import run_liverseg


@pytest.fixture(scope="module")
def organ():
    return make_organ()


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_each_kind_is_darker_than_the_organ_and_gets_no_label(organ, kind):
    image, labels = organ
    spec = LesionSpec(lookalikes=(kind,))
    drawn = []
    for seed in range(6):
        new, new_labels, records = add_lookalikes(image, labels, seed, spec)
        np.testing.assert_array_equal(new_labels.array, labels.array)
        assert new.array.dtype == image.array.dtype
        assert new.array.min() >= image.array.min()
        changed = new.array != image.array
        # the organ's border is soft, and everything beyond it stays
        far = ndimage.distance_transform_edt(labels.array != 1, SPACING) > 5
        assert not changed[far].any()
        assert bool(records) == changed.any()
        drawn += records
    assert len(drawn) >= 5
    assert {record.kind for record in drawn} == {kind}
    contrasts = [record.contrast_hu for record in drawn]
    assert max(contrasts) < -5
    if kind == "cyst":
        assert -LEVEL - 12 < np.median(contrasts) < -LEVEL + 40
    if kind == "vessel":
        assert np.median(contrasts) > -LEVEL


def test_the_same_seed_gives_the_same_structures(organ):
    spec = LesionSpec(lookalikes=LOOKALIKES)
    first, again, other = (add_lookalikes(*organ, seed, spec) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0].array, again[0].array)
    assert first[2] == again[2]
    assert not np.array_equal(first[0].array, other[0].array)


def test_cysts_may_count_as_lesions(organ):
    spec = LesionSpec(lookalikes=("cyst",), cysts_are_lesions=True)
    new, labels, records = add_lookalikes(*organ, 3, spec)
    assert records
    mask = labels.array == 2
    assert (organ[1].array[mask] == 1).all()
    assert new.array[mask].mean() < 45
    with pytest.raises(SettingsError, match="cyst among the lookalikes"):
        LesionSpec(lookalikes=("fat",), cysts_are_lesions=True)
    with pytest.raises(SettingsError, match="Expected lookalikes from cyst, fat"):
        LesionSpec(lookalikes=("cysts",))


def test_labelled_lesions_stay_as_they_are(organ):
    image, labels = organ
    tumour = labels.array.copy()
    tumour[:, 22:42, :][tumour[:, 22:42, :] == 1] = 2
    labels = type(labels)(tumour, labels.affine)
    new, new_labels, _ = add_lookalikes(image, labels, 1, LesionSpec(lookalikes=LOOKALIKES))
    np.testing.assert_array_equal(new_labels.array, tumour)
    inner = ndimage.binary_erosion(tumour == 2, np.ones((1, 7, 7)))
    np.testing.assert_array_equal(new.array[inner], image.array[inner])


def test_focal_fat_lies_at_its_landmarks(organ):
    image, labels = map(to_canonical, organ)
    found = OrganMap.of(image.array.astype(np.float32), labels.array, SPACING, LesionSpec())
    lowest, highest = found.ends
    rng = np.random.default_rng(0)
    for _ in range(20):
        place = choose_landmark(rng, found, None) / SPACING
        part = (place - lowest) / (highest - lowest)
        assert any(
            all(low <= value <= high for value, (low, high) in zip(part, mark.part, strict=True))
            for mark in LANDMARKS.values()
        )
    assert choose_landmark(rng, found, (0, 0)) is None


def test_forms_are_closed_within_their_reach():
    rng = np.random.default_rng(1)
    forms = (
        Wedge.draw(rng, 9.0),
        Sheet.draw(rng, np.array([0.2, 1, 0.4]), 24.0, 10.0),
        Tree.draw(rng, 3.0, 20.0),
    )
    for form in forms:
        axis = np.arange(-1.5 * form.reach_mm, 1.5 * form.reach_mm, 1.0)
        inside = form.depth(axis, axis, axis) > 0
        assert inside.any()
        if not isinstance(form, Sheet):  # which continues beyond the surface of the organ
            reach = np.abs(axis[np.argwhere(inside)]).max()
            assert reach <= form.reach_mm
    assert ndimage.label(inside)[1] == 1  # the tree is one piece
    sheet = forms[1].depth(axis, axis, axis)
    assert sheet.max() <= forms[1].thickness_mm / 2


def test_the_command_lists_what_it_drew(tmp_path, organ):
    folder = tmp_path / "set"
    write_volume(folder / "images" / "one.nii.gz", organ[0])
    write_labels(folder / "masks" / "one.nii.gz", organ[1])
    out = tmp_path / "out"
    done = run_liverseg(
        *("phantom", out, "--lesions-in", folder, "--tumours", 1, "--lookalike", "cyst"),
        *("--lookalike", "fissure", "--seed", 2),
    )
    assert done.exit_code == 0, done.output
    with open(out / "lookalikes.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {row["kind"] for row in rows} <= {"cyst", "fissure"}
    assert "lookalike" in done.stdout
    # one lesion, and no label for the others
    assert ndimage.label(read_labels(out / "masks" / "one.nii.gz").array == 2)[1] == 1
    done = run_liverseg("phantom", tmp_path / "x", "--lookalike", "all")
    assert done.exit_code == 2
    assert "--lookalike without --lesions-in" in done.stderr
