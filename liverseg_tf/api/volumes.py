"""Reading images and writing masks."""

from pathlib import Path

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.volume import Volume


def read_volume(path: Path | str, channel: int | None = None) -> Volume:
    """Read an image or a mask in its own axis order.

    Args:
        path: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr file, or a folder with one DICOM series.
        channel: Index of the volume to read from a 4D file.

    Returns:
        Volume with an array (z, row, col) in HU (or MR units), its affine, and the header that
        `write_mask` keeps.

    Raises:
        LiverSegError: If the image is missing, damaged or not a volume.

    Example:
        >>> import liverseg_tf as ls
        >>> ct = ls.read_volume("ct.nii.gz")
        >>> ct.array.shape, ct.spacing_mm
        ((8, 64, 64), (25.0, 6.5, 6.5))
    """
    return read_image(Path(path), channel)


def write_mask(path: Path | str, mask: Volume) -> None:
    """Write a mask as NIfTI, atomically.

    A mask from `segment`, or from `with_array` of an image, has the header of its image: the file
    then has the same shape, affine, form codes and units, bit for bit.

    Args:
        path: .nii or .nii.gz file.
        mask: Label map, array (z, row, col) uint8.

    Raises:
        LiverSegError: If the dtype or the suffix is wrong, or the file cannot be written.

    Example:
        >>> import liverseg_tf as ls
        >>> ct = ls.read_volume("ct.nii.gz")
        >>> ls.write_mask("bones.nii.gz", ct.with_array((ct.array > 300).astype("uint8")))
        >>> ls.read_volume("bones.nii.gz").array.dtype
        dtype('uint8')
    """
    write_labels(Path(path), mask)
