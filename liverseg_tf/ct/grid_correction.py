"""Corrections of orientation and spacing for images whose headers are wrong or incomplete."""

from dataclasses import asdict, dataclass, replace

import nibabel as nib
import numpy as np

from liverseg_tf.ct.orientation import Orientation
from liverseg_tf.ct.volume import Volume, check_same_grid
from liverseg_tf.errors import LiverSegError, SettingsError

_SCANNER_PIXELS = 512
AXIS_LETTERS = ({"R", "L"}, {"A", "P"}, {"S", "I"})


@dataclass(frozen=True)
class GridCorrection:
    """Known orientation and spacing of a case, which replace those of its headers.

    Args:
        orientation: Directions of the file's axes i, j, k as three letters: "LPS" means to the
            patient's left, posterior and superior. None keeps the header's orientation.
        spacing_mm: Spacing along the file's axes i, j, k. None keeps the header's spacing.
        same_voxels: Whether the voxels of the mask correspond to those of the image by index,
            whatever the mask's header says. A correction of the orientation implies it.
        form: The form to use if sform and qform of a NIfTI file disagree, "sform" or "qform".

    Raises:
        SettingsError: If the letters are not an orientation, or a spacing is not above 0 mm.

    Example:
        >>> GridCorrection("LPS", (0.7, 0.7, 1.5)).to_json()["orientation"]
        'LPS'
    """

    orientation: str | None = None
    spacing_mm: tuple[float, float, float] | None = None
    same_voxels: bool = False
    form: str | None = None

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

    @property
    def form_in_use(self) -> str | None:
        """The form of the header to read; any, if nothing but the origin is left of it."""
        replaced = self.orientation is not None and self.spacing_mm is not None
        return self.form or ("sform" if replaced else None)

    def apply(self, image: Volume) -> Volume:
        """Return the image with a corrected affine and the same array.

        With a new orientation, the axes become parallel to the anatomical axes. The origin stays
        unchanged. The volume has no header, because its grid differs from that of the file.
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
        lacks_orientation = image.lacks_orientation and self.orientation is None
        return replace(image, affine=affine, header=None, lacks_orientation=lacks_orientation)

    def apply_to_mask(self, mask: Volume, image: Volume) -> Volume:
        """Return the mask with the affine of the corrected image, if the correction concerns it.

        Args:
            mask: Mask as read. A mask of another shape is returned unchanged, because the later
                comparison of the grids reports it.
            image: Image as read, before its correction.

        Raises:
            LiverSegError: If only the spacing is corrected, and the mask's header is neither on
                the grid of the image's header nor on the corrected grid, so that its position is
                unknown.
        """
        replaces_mask_header = self.orientation is not None or self.same_voxels
        if mask.array.shape != image.array.shape or not (
            replaces_mask_header or self.spacing_mm is not None
        ):
            return mask
        corrected = self.apply(image)
        if not replaces_mask_header:
            _check_mask_header(mask, image, corrected)
        return replace(
            mask,
            affine=corrected.affine,
            header=None,
            lacks_orientation=corrected.lacks_orientation,
        )

    def to_json(self) -> dict:
        """Return a plain dictionary, for the record of a case."""
        record = asdict(self)
        if self.form is None:
            del record["form"]  # records of earlier versions do not have it
        return record


def _check_mask_header(mask: Volume, image: Volume, corrected: Volume) -> None:
    if Orientation.of(mask.affine) != Orientation.of(image.affine):
        codes = ["".join(nib.aff2axcodes(volume.affine)) for volume in (image, mask)]
        raise LiverSegError(
            "Expected the same axis order in the headers of an image and its mask whose "
            f"spacing is corrected. Received {codes[0]} and {codes[1]}: correct the "
            "orientation too, or set --same-voxels."
        )
    try:
        check_same_grid(image, mask)
    except LiverSegError as error:
        try:
            check_same_grid(corrected, mask)
        except LiverSegError:
            raise LiverSegError(
                f"{error} Set --same-voxels if the mask was drawn on the voxels of the image."
            ) from error


def lacks_geometry(volume: Volume) -> bool:
    """Return whether a header has no geometry: no orientation, or 1 mm without rotation or origin.

    Some tools drop the geometry and write headers of 1 mm (cases 28 to 47 of LiTS). The origin may
    differ from 0 if the slices have 512 x 512 pixels, the matrix of a scanner: an image that was
    really resampled to 1 mm has other sizes.
    """
    linear, origin = volume.affine[:3, :3], volume.affine[:3, 3]
    unit = np.allclose(np.abs(linear), np.eye(3), atol=1e-6)
    native = volume.array.shape.count(_SCANNER_PIXELS) >= 2
    return volume.lacks_orientation or bool(unit and (native or np.allclose(origin, 0)))
