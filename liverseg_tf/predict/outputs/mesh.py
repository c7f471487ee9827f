"""Triangle meshes of label maps in patient coordinates, and their STL and OBJ files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.bounding_box import bounding_box
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume

# NIfTI's x and y axes are opposite to those of DICOM.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# 3D Slicer reads this marker in STL headers and OBJ comments.
_SPACE = "SPACE=LPS"
# At a level of exactly 0.5, the surface of voxels that touch only along an edge is ambiguous, so
# that more than two triangles may share an edge. Slightly below 0.5, such voxels are joined.
_LEVEL = 0.499


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed triangle mesh.

    Args:
        vertices_mm: (n, 3) float64, (x, y, z) in mm in DICOM's patient coordinate system, LPS: x
            towards the patient's left, y towards posterior, z towards superior.
        faces: (m, 3) int32, indices of vertices, counter-clockwise as seen from outside, so that
            normals point outwards.
    """

    vertices_mm: np.ndarray
    faces: np.ndarray

    @property
    def volume_ml(self) -> float:
        """The enclosed volume in ml, by the divergence theorem."""
        first, second, third = (self.vertices_mm[corner] for corner in self.faces.T)
        return float(np.einsum("ij,ij->", first, np.cross(second, third))) / 6000

    def __repr__(self) -> str:
        vertices, faces = len(self.vertices_mm), len(self.faces)
        return f"Mesh(vertices: {vertices}; faces: {faces}; volume_ml: {self.volume_ml:.4g})"


def build_mesh(labels: Volume, regions: Regions, name: str) -> Mesh:
    """Build the surface of a region by marching cubes.

    The surface lies halfway between the centres of the region's voxels and of their neighbours.
    Outside the volume everything is background, so that the surface is always closed. It is not
    smoothed. Marching cubes cut off corners: the mesh of an organ encloses about 1 % less than its
    voxels, and that of a single voxel encloses a sixth of it.

    Args:
        labels: Label map (z, row, col) uint8.
        regions: Regions of the labels.
        name: Name of the region.

    Returns:
        The mesh; without vertices if the region is empty.

    Raises:
        SettingsError: If there is no region of that name.
    """
    from skimage.measure import marching_cubes

    mask = regions.mask(labels.array, name)
    box = bounding_box(mask)
    if not mask[box].size:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))
    padded = np.pad(mask[box], 1).view(np.uint8)
    # faces are clockwise if (z, row, col) is regarded as a right-handed coordinate system
    vertices, faces, _, _ = marching_cubes(padded, _LEVEL, gradient_direction="descent")
    voxels = (vertices + [side.start - 1 for side in box])[:, ::-1]
    to_lps = RAS_TO_LPS @ labels.affine
    # reversing (z, row, col) to (col, row, z) mirrors the faces; a left-handed grid mirrors again
    if np.linalg.det(to_lps[:3, :3]) < 0:
        faces = faces[:, ::-1]
    return Mesh(voxels @ to_lps[:3, :3].T + to_lps[:3, 3], np.ascontiguousarray(faces, np.int32))


def write_stl(path: Path, mesh: Mesh, name: str) -> None:
    """Write a mesh as a binary STL file, atomically.

    Args:
        path: Path of the file.
        mesh: Mesh; an empty one becomes a file without triangles.
        name: Name of the region. The header contains it together with SPACE=LPS.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    corners = mesh.vertices_mm[mesh.faces].astype("<f4")
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


def write_obj(path: Path, mesh: Mesh, name: str) -> None:
    """Write a mesh as an OBJ file, atomically.

    Args:
        path: Path of the file.
        mesh: Mesh; an empty one becomes a file without triangles.
        name: Name of the region, which becomes the name of the object. The comment says SPACE=LPS.

    Raises:
        LiverSegError: If the file cannot be written.
    """
    vertices, faces = mesh.vertices_mm, mesh.faces + 1
    text = f"# liverseg_tf. {_SPACE}; unit mm\no {_ascii(name).replace(' ', '_')}\n"
    text += ("v %.4f %.4f %.4f\n" * len(vertices)) % tuple(vertices.reshape(-1).tolist())
    text += ("f %d %d %d\n" * len(faces)) % tuple(faces.reshape(-1).tolist())
    with replacing(path) as partial:
        partial.write_text(text, encoding="ascii", newline="\n")


def _ascii(name: str) -> str:
    """Replace control characters and characters outside ASCII by underscores."""
    return "".join(letter if " " <= letter <= "~" else "_" for letter in name)
