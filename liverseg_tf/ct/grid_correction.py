"""What replaces a header that does not tell where its voxels lie."""

from dataclasses import asdict, dataclass

import nibabel as nib
import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError

_SCANNER_PIXELS = 512
AXIS_LETTERS = ({"R", "L"}, {"A", "P"}, {"S", "I"})


@dataclass(frozen=True)
class GridCorrection:
    """Orientation and spacing of a case that are known better than its headers tell.

    Args:
        orientation: where the file's axes i, j, k run to, as three letters: "LPS" is to the
            patient's left, posterior and superior; None keeps the header's.
        spacing_mm: along the file's axes i, j, k; None keeps the header's.
        same_voxels: the mask lies on its image's voxels, index by index, whatever its own
            header says. A correction of orientation or spacing always means that.

    Raises:
        SettingsError: on other letters, or spacings that are not above 0.

    Example:
        >>> GridCorrection("LPS", (0.7, 0.7, 1.5)).to_json()["orientation"]
        'LPS'
    """

    orientation: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    same_voxels: bool = False

    def __post_init__(self) -> None:
        letters = self.orientation
        if letters is not None and not (
            len(letters) == 3 and all(len(pair & set(letters)) == 1 for pair in AXIS_LETTERS)
        ):
            raise SettingsError(
                "Expected an orientation of three letters such as LPS (one of R and L, one of A "
                f"and P, one of S and I). Received {letters!r}."
            )
        spacing = self.spacing_mm
        if spacing is not None and not (
            len(spacing) == 3 and np.isfinite(spacing).all() and min(spacing) > 0
        ):
            raise SettingsError(
                f"Expected three spacings above 0 mm. Received {', '.join(map(str, spacing))}."
            )

    def apply(self, image: Volume) -> Volume:
        """The image on its corrected grid: the same array, with another affine.

        A new orientation is that of an upright grid; the origin stays the header's. The volume
        has no header, since it is not the file's grid any more.
        """
        if self.orientation is None and self.spacing_mm is None:
            return image
        spacing = np.array(self.spacing_mm or image.spacing_mm[::-1])
        if self.orientation is None:
            cosines = image.affine[:3, :3] / nib.affines.voxel_sizes(image.affine)
        else:
            cosines = np.zeros((3, 3))
            directions = nib.orientations.axcodes2ornt(tuple(self.orientation))
            for axis, (anatomical, sign) in enumerate(directions):
                cosines[int(anatomical), axis] = sign
        affine = nib.affines.from_matvec(cosines * spacing, image.affine[:3, 3])
        return Volume(image.array, affine)

    def apply_to_mask(self, mask: Volume, image: Volume) -> Volume:
        """The mask on the corrected image's voxels.

        Args:
            mask: as it was read.
            image: as it was read, before its correction.

        Raises:
            LiverSegError: when the shapes differ, or when only a spacing is corrected and the
                headers disagree on the order of the axes, so that no one knows which is meant.
        """
        if mask.array.shape != image.array.shape:
            return mask  # the check of the grids says what is wrong
        turned = Orientation.of(mask.affine) != Orientation.of(image.affine)
        if turned and self.orientation is None and not self.same_voxels:
            codes = ["".join(nib.aff2axcodes(volume.affine)) for volume in (image, mask)]
            raise LiverSegError(
                "Expected one axis order in the headers of an image and its mask whose spacing is "
                f"corrected. Received {codes[0]} and {codes[1]}: correct the orientation too."
            )
        return Volume(mask.array, self.apply(image).affine)

    def to_json(self) -> dict:
        """A plain dictionary, for the record of a case."""
        return asdict(self)


def lacks_geometry(volume: Volume) -> bool:
    """Whether a header says nothing: 1 mm along each axis, no rotation, no place.

    It is what tools write that drop the geometry (cases 28 to 47 of LiTS). The origin is 0, or
    slices have the scanner's 512 x 512 pixels, which no one keeps who resamples to 1 mm.
    """
    linear, origin = volume.affine[:3, :3], volume.affine[:3, 3]
    unit = np.allclose(np.abs(linear), np.eye(3), atol=1e-6)
    native = volume.array.shape.count(_SCANNER_PIXELS) >= 2
    return bool(unit and (native or np.allclose(origin, 0)))
