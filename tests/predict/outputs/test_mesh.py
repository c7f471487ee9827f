import itertools

import nibabel as nib
import numpy as np
import pytest
import trimesh

from liverseg_tf.ct.nifti import read_labels
from liverseg_tf.ct.regions import LIVER_REGIONS, Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.mesh import build_mesh, write_obj, write_stl

ORGAN = Regions({"organ": (1,)})


def _ball(affine, shape=(14, 30, 26)):
    z, row, col = np.indices(shape)
    array = ((z - 6) / 4) ** 2 + ((row - 12) / 10) ** 2 + ((col - 15) / 8) ** 2 < 1
    array &= ~((z > 6) & (row > 12))  # remove a part, so that the shape has no symmetry
    return Volume(array.astype(np.uint8), affine)


def _affines():
    axes = np.diag([0.8, 0.7, 2.5])
    rotation = nib.eulerangles.euler2mat(0.3, -0.2, 0.4)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            for turned in (np.eye(3), rotation):
                affine = np.eye(4)
                affine[:3, :3] = turned @ (np.eye(3)[:, order] * signs) @ axes
                affine[:3, 3] = -100, 40, 700
                yield affine


@pytest.mark.parametrize("ending", ["stl", "obj"])
def test_meshes_are_closed_and_correctly_placed_for_every_affine(tmp_path, ending):
    write = {"stl": write_stl, "obj": write_obj}[ending]
    for affine in _affines():
        labels = _ball(affine)
        path = tmp_path / f"organ.{ending}"
        write(path, build_mesh(labels, ORGAN, "organ"), "organ")
        mesh = trimesh.load_mesh(path)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        voxels = labels.array.sum() * labels.voxel_volume_ml * 1000
        assert voxels * 0.95 < mesh.volume < voxels  # positive: normals point outwards
        places = nib.affines.apply_affine(affine, np.argwhere(labels.array)[:, ::-1])
        x, y, z = places.mean(axis=0)
        np.testing.assert_allclose(mesh.center_mass, (-x, -y, z), atol=0.1)
        ends = places.min(axis=0), places.max(axis=0)
        ends = np.sort(np.array(ends) * (-1, -1, 1), axis=0)
        np.testing.assert_allclose(mesh.bounds, ends, atol=1.5)  # half a voxel around the centres


def test_normals_point_outwards(tmp_path):
    for affine in (np.diag([1.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1])):
        array = np.zeros((9, 9, 9), np.uint8)
        array[2:7, 2:7, 2:7] = 1
        write_stl(tmp_path / "a.stl", build_mesh(Volume(array, affine), ORGAN, "organ"), "organ")
        data = (tmp_path / "a.stl").read_bytes()
        records = np.frombuffer(data[84:], np.dtype([("f", "<f4", (4, 3)), ("a", "<u2")]))["f"]
        middle = nib.affines.apply_affine(affine, (4, 4, 4)) * (-1, -1, 1)
        outward = records[:, 1:].mean(axis=1) - middle
        assert (np.einsum("ij,ij->i", records[:, 0], outward) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(records[:, 0], axis=1), 1, rtol=1e-5)


def test_meshes_are_closed_at_volume_borders_and_touching_voxels(tmp_path):
    rng = np.random.default_rng(0)
    for array in (np.ones((3, 4, 5)), rng.random((10, 12, 14)) < 0.4, np.ones((1, 1, 1))):
        labels = Volume(array.astype(np.uint8), np.diag([-2.0, 1.0, 3.0, 1.0]))
        write_stl(tmp_path / "a.stl", build_mesh(labels, ORGAN, "organ"), "organ")
        mesh = trimesh.load_mesh(tmp_path / "a.stl")
        assert mesh.is_watertight
        assert mesh.volume > 0
    assert mesh.volume == pytest.approx(2 * 1 * 3 / 6, rel=0.01)  # an octahedron inside a voxel


def test_nested_regions_have_separate_meshes():
    array = np.zeros((12, 40, 40), np.uint8)
    array[2:10, 5:35, 5:35] = 1
    array[4:8, 15:25, 15:25] = 2
    labels = Volume(array, np.diag([1.0, 1.0, 2.0, 1.0]))
    liver, tumour = (build_mesh(labels, LIVER_REGIONS, name) for name in LIVER_REGIONS.names)
    assert liver.volume_ml == pytest.approx(8 * 30 * 30 * 2 / 1000, rel=0.02)
    assert tumour.volume_ml == pytest.approx(4 * 10 * 10 * 2 / 1000, rel=0.06)


def test_representation_is_one_line():
    mesh = build_mesh(Volume(np.ones((2, 2, 2), np.uint8), np.eye(4)), ORGAN, "organ")
    assert repr(mesh) == "Mesh(vertices: 24; faces: 44; volume_ml: 0.00568)"


def test_an_empty_region_gives_files_without_triangles(tmp_path):
    mesh = build_mesh(Volume(np.zeros((2, 3, 4), np.uint8), np.eye(4)), ORGAN, "organ")
    assert mesh.volume_ml == 0
    write_stl(tmp_path / "a.stl", mesh, "organ")
    write_obj(tmp_path / "a.obj", mesh, "organ")
    assert (tmp_path / "a.stl").read_bytes()[80:] == b"\0\0\0\0"
    assert len((tmp_path / "a.obj").read_text().splitlines()) == 2


def test_files_state_their_coordinate_system_and_escape_names(tmp_path):
    mesh = build_mesh(_ball(np.eye(4)), ORGAN, "organ")
    write_stl(tmp_path / "a.stl", mesh, "solid Leber ü" * 9)
    write_obj(tmp_path / "a.obj", mesh, "Leber ü\nv 1 2 3")
    data = (tmp_path / "a.stl").read_bytes()
    assert b"SPACE=LPS" in data[:80]
    assert not data.startswith(b"solid")
    assert len(data) == 84 + 50 * len(mesh.faces)
    first, second = (tmp_path / "a.obj").read_text().splitlines()[:2]
    assert "SPACE=LPS" in first
    assert second == "o Leber___v_1_2_3"


def test_a_failed_write_leaves_no_file(tmp_path):
    (tmp_path / "a.stl").mkdir()
    mesh = build_mesh(_ball(np.eye(4)), ORGAN, "organ")
    with pytest.raises(LiverSegError, match="Expected to write"):
        write_stl(tmp_path / "a.stl", mesh, "organ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.stl"]


def test_a_real_liver(shared_data, tmp_path):
    labels = read_labels(shared_data / "Task03_Liver" / "labelsTr" / "liver_0.nii.gz")
    write_stl(tmp_path / "liver.stl", build_mesh(labels, LIVER_REGIONS, "liver"), "liver")
    mesh = trimesh.load_mesh(tmp_path / "liver.stl")
    assert mesh.is_watertight
    assert mesh.volume / 1000 == pytest.approx(1366, rel=0.02)
