import base64
import gzip
import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.evaluate.viewer.write_viewer import ViewerSpec, name_masks, write_viewer
from liverseg_tf.phantom.phantoms import PhantomSpec, make_phantom

AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])


def read(path):
    """Read the scene of a page and its volumes."""
    page = Path(path).read_text(encoding="utf-8")
    scene = json.loads(re.search(r'id="scene">(.*?)</script>', page)[1])
    images = []
    for index, data in enumerate(re.findall(r'id="volume-\d">(.*?)</script>', page)):
        file = gzip.decompress(base64.b64decode(data))
        if index == 0:  # all low bytes are before all high bytes
            split = np.frombuffer(file[352:], np.uint8).reshape(2, -1)
            file = file[:352] + np.ascontiguousarray(split.T).tobytes()
        images.append(nib.Nifti1Image.from_bytes(file))
    return scene, images


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SRP", "PIL"])
def test_voxels_and_their_positions(tmp_path, axes):
    spec = PhantomSpec(shape=(20, 64, 64), spacing_mm=(10, 6, 6), tumours=2, axes=axes)
    image, labels = make_phantom(3, spec)
    write_viewer(tmp_path / "a.html", image, {"truth": labels})
    scene, (ct, mask) = read(tmp_path / "a.html")
    assert nib.aff2axcodes(ct.affine) == ("L", "P", "S")
    np.testing.assert_array_equal(ct.affine, mask.affine)
    canonical, canonical_labels = to_canonical(image), to_canonical(labels)
    corner = np.linalg.inv(canonical.affine) @ ct.affine[:, 3]
    col, row, z = np.rint(corner[:3]).astype(int)
    np.testing.assert_allclose(corner[:3], (col, row, z), atol=1e-3)
    cols, rows, slices = ct.shape
    box = np.s_[z : z + slices, row : row + rows, col : col + cols]
    np.testing.assert_array_equal(np.asarray(ct.dataobj).T, canonical.array[box].clip(-1024))
    np.testing.assert_array_equal(np.asarray(mask.dataobj).T, canonical_labels.array[box])
    assert np.count_nonzero(mask.dataobj) == np.count_nonzero(labels.array)
    (legend,) = scene["masks"]
    assert [region["name"] for region in legend["regions"]] == ["liver", "tumour"]
    tumour = np.count_nonzero(labels.array == 2) * labels.voxel_volume_ml
    assert legend["regions"][1]["ml"] == pytest.approx(tumour)
    assert sum(lesion["volume_ml"] for lesion in scene["components"]) == pytest.approx(tumour)
    assert scene["componentsOf"] == "tumour"
    assert scene["window"] == [40, 400]


def volumes(shape=(10, 60, 60)):
    rng = np.random.default_rng(0)
    image = rng.integers(-100, 200, shape).astype(np.int16)
    labels = np.zeros(shape, np.uint8)
    labels[4:6, 20:30, 20:30] = 1
    return Volume(image, AFFINE), Volume(labels, AFFINE)


def test_large_volumes_are_cropped_and_then_downsampled(tmp_path):
    image, mask = volumes()
    notes, sizes = {}, {}
    for limit in (1, 0.03, 0.01):
        write_viewer(tmp_path / "a.html", image, {"m": mask}, ViewerSpec(limit_mb=limit))
        scene, images = read(tmp_path / "a.html")
        notes[limit], sizes[limit] = scene["notes"], images[0].shape
        assert scene["masks"][0]["regions"][0]["ml"] == pytest.approx(200 * 0.02)
    assert notes[1] == []
    assert sizes[1] == (60, 60, 10)
    assert notes[0.03] == ["Cropped to the masks with a margin of 20 mm."]
    assert sizes[0.03] == (30, 30, 10)
    assert notes[0.01][1] == "Downsampled: pixels are 2 times as wide and high."
    assert sizes[0.01] == (15, 15, 10)
    with pytest.raises(LiverSegError, match=r"do not fit into 0.0001 MB"):
        write_viewer(tmp_path / "b.html", image, {"m": mask}, ViewerSpec(limit_mb=0.0001))
    assert not (tmp_path / "b.html").exists()


def test_no_mask(tmp_path):
    write_viewer(tmp_path / "a.html", volumes()[0], {})
    scene, images = read(tmp_path / "a.html")
    assert len(images) == 1
    assert scene["masks"] == scene["components"] == scene["differences"] == []


def test_labels_that_belong_to_no_region(tmp_path):
    image, mask = volumes()
    mask.array[0, 0, :5] = 7
    write_viewer(tmp_path / "a.html", image, {"m": mask}, ViewerSpec(regions=Regions({"x": (1,)})))
    scene, _ = read(tmp_path / "a.html")
    legend = scene["masks"][0]
    assert [region["name"] for region in legend["regions"]] == ["x", "label 7"]
    assert legend["labels"] == [[1, 0], [7, 1]]


def test_mr_units_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    image = Volume(rng.gamma(2, 3e-3, (4, 30, 30)).astype(np.float32), AFFINE)
    image.array[0, 0, 0] = np.nan
    write_viewer(tmp_path / "a.html", image, {}, ViewerSpec(is_ct=False))
    scene, (mr,) = read(tmp_path / "a.html")
    top = np.nanmax(image.array)
    np.testing.assert_allclose(
        np.asarray(mr.dataobj).T.ravel()[1:], image.array.ravel()[1:], atol=top / 30000
    )
    assert scene["windows"] == {}
    assert 0 < scene["window"][1] < top


def test_floats_with_padding_and_infinity(tmp_path):
    image = Volume(volumes()[0].array.astype(np.float32) + 0.4, AFFINE)
    image.array[0, 0, :4] = (np.nan, np.inf, -np.inf, -3024)
    write_viewer(tmp_path / "a.html", image, {})
    _, (ct,) = read(tmp_path / "a.html")
    assert np.asarray(ct.dataobj)[:4, 0, 0].tolist() == [-1024, 32767, -1024, -1024]


def test_text_is_escaped(tmp_path):
    image, mask = volumes()
    markup = "</script><script>alert(1)</script><!--"
    spec = ViewerSpec(markup, Regions({markup: (1,)}))
    write_viewer(tmp_path / "a.html", image, {markup: mask}, spec)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == 1 + 2 + 3  # scene, volumes, scripts
    assert read(tmp_path / "a.html")[0]["masks"][0]["name"] == markup
    policy = re.search(r'Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_different_grids_are_refused(tmp_path):
    image, mask = volumes()
    other = Volume(mask.array[:-1], AFFINE)
    with pytest.raises(LiverSegError, match="the image and the mask b on one grid"):
        write_viewer(tmp_path / "a.html", image, {"a": mask, "b": other})


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.nii.gz", "b.nii"], ["a", "b"]),
        (["x/t/a.nii", "x/p/a.nii"], ["t/a", "p/a"]),
        (["t/x/a.nii", "p/x/a.nii"], ["t/x/a", "p/x/a"]),
        (["a.nii", "a.nii"], ["a (1)", "a (2)"]),
        ([], []),
    ],
)
def test_names_of_masks(paths, names):
    assert name_masks(list(map(Path, paths))) == names
