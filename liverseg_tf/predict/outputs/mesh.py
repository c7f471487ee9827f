"""Surfaces of a label map as triangles in the patient's millimetres, and as STL and OBJ files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume

# NIfTI's x and y run the other way than DICOM's
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# 3D Slicer looks for this word in STL headers and OBJ comments
_SPACE = "SPACE=LPS"
# Exactly halfway, voxels that meet at an edge leave it open whether their surfaces join, and
# more than two triangles then share an edge. A little lower, such voxels join.
_LEVEL = 0.499


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed surface.

    Args:
        vertices_mm: (n, 3) float64, (x, y, z) in DICOM's patient space: LPS, x to the patient's
            left, y to posterior, z to superior.
        faces: (m, 3) int32, indices of vertices, counter-clockwise as seen from outside, so that
            normals point outwards.
    """

    vertices_mm: np.ndarray
    faces: np.ndarray

    @property
    def volume_ml(self) -> float:
        """What it encloses; positive, since its normals point outwards."""
        one, two, three = (self.vertices_mm[corner] for corner in self.faces.T)
        return float(np.einsum("ij,ij->", one, np.cross(two, three))) / 6000


def build_mesh(labels: Volume, regions: Regions, name: str) -> Mesh:
    """The surface of a region, halfway between its voxels' centres and their neighbours'.

    What lies outside the volume is background, so that it is closed there too. Marching cubes
    cut off corners: an organ's surface encloses about 1 % less than its voxels do, that of a
    single voxel a sixth of it. Nothing is smoothed.

    Args:
        labels: (z, row, col) uint8.
        regions: what the labels mean.
        name: of the region.

    Returns:
        The surface, without vertices where the region is empty.

    Raises:
        SettingsError: when there is no region of that name.
    """
    from skimage.measure import marching_cubes

    mask = regions.mask(labels.array, name)
    box = next(iter(ndimage.find_objects(mask.view(np.uint8))), None)
    if box is None:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    padded = np.pad(mask[box], 1).view(np.uint8)
    # its faces are clockwise where (z, row, col) is taken for a right-handed space
    vertices, faces, _, _ = marching_cubes(padded, _LEVEL, gradient_direction="descent")
    places = (vertices + [part.start - 1 for part in box])[:, ::-1]
    to_lps = RAS_TO_LPS @ labels.affine
    # (z, row, col) to (col, row, z) mirrors them, which a left-handed grid undoes
    if np.linalg.det(to_lps[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return Mesh(places @ to_lps[:3, :3].T + to_lps[:3, 3], np.ascontiguousarray(faces, np.int32))


def write_stl(path: Path, surface: Mesh, name: str) -> None:
    """Write a binary STL file, whole or not at all.

    Args:
        path: of the file.
        surface: without triangles, it makes a file without triangles.
        name: of the region, for the header, which also says SPACE=LPS.

    Raises:
        LiverSegError: when the file can't be written.
    """
    corners = surface.vertices_mm[surface.faces].astype("<f4")
    records = np.zeros(
        len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    )
    records["corners"] = corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records["normal"] = normals / np.where(lengths > 0, lengths, 1)
    header = f"liverseg_tf. {_SPACE}; unit mm; {_ascii(name)}"[:80].ljust(80).encode("ascii")
    with replacing(path) as partial:
        partial.write_bytes(
            header + np.uint32(len(records)).astype("<u4").tobytes() + records.tobytes()
        )


def write_obj(path: Path, surface: Mesh, name: str) -> None:
    """Write an OBJ file, whole or not at all; see `write_stl`."""
    vertices, faces = surface.vertices_mm, surface.faces + 1
    text = f"# liverseg_tf. {_SPACE}; unit mm\no {_ascii(name).replace(' ', '_')}\n"
    text += ("v %.4f %.4f %.4f\n" * len(vertices)) % tuple(vertices.reshape(-1).tolist())
    text += ("f %d %d %d\n" * len(faces)) % tuple(faces.reshape(-1).tolist())
    with replacing(path) as partial:
        partial.write_text(text, encoding="ascii", newline="\n")


def _ascii(name: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "_" for letter in name)
