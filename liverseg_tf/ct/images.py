"""Reading of images in any format: NIfTI, DICOM, MetaImage and NRRD."""

import os
from pathlib import Path

import numpy as np
from nibabel.affines import voxel_sizes

from liverseg_tf.ct import nifti
from liverseg_tf.ct.dicom.series import DicomSeries, files_below, find_volume_series, read_series
from liverseg_tf.ct.itk.read_itk import ITK_SUFFIXES, itk_files, read_itk, read_itk_header
from liverseg_tf.ct.labels import as_labels
from liverseg_tf.ct.nifti import SUFFIXES, read_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count

IMAGE_SUFFIXES = (*SUFFIXES, *ITK_SUFFIXES)
# without .img and .raw, which belong to a header
_UNREAD_SUFFIXES = (
    *(".hdr", ".mgh", ".mgz", ".mnc", ".nii.bz2", ".nii.xz", ".nii.zip", ".nii.zst"),
    *(".hdr.gz", ".nrrd.gz", ".mha.gz", ".gipl", ".gipl.gz"),
)


def image_stem(path: Path) -> str | None:
    """Return a file name without its suffix; None if it is hidden or has no image suffix.

    Example:
        >>> image_stem(Path("liver_0.NII.GZ")), image_stem(Path("liver_0.png"))
        ('liver_0', None)
    """
    for suffix in IMAGE_SUFFIXES:
        if path.name.lower().endswith(suffix) and not path.name.startswith("."):
            return path.name[: -len(suffix)]
    return None


def is_unread_image(path: Path) -> bool:
    """Return whether a file is a volume in a format that is not read, which must not be ignored.

    Example:
        >>> is_unread_image(Path("ct.hdr")), is_unread_image(Path("ct.json"))
        (True, False)
    """
    return path.name.lower().endswith(_UNREAD_SUFFIXES) and not path.name.startswith(".")


def read_image(
    source: Path | DicomSeries,
    channel: int | None = None,
    form: str | None = None,
    any_spacing: bool = False,
) -> Volume:
    """Read an image, in its own axis order.

    Args:
        source: .nii, .nii.gz, .mha, .mhd, .nrrd or .nhdr file, a DICOM series, or a folder with
            one series at any depth (localizers are ignored).
        channel: Index of the volume to read from a 4D NIfTI file. For other images, 0 means the
            image itself.
        form: The form to use if sform and qform of a NIfTI file disagree; see `read_volume`.
        any_spacing: Whether implausible spacings of files are read, because they are corrected
            later.

    Returns:
        A volume as returned by `read_volume`. Only volumes from NIfTI files have a header.

    Raises:
        LiverSegError: If the image is missing, damaged or not a volume, or if a folder does not
            contain exactly one series.
    """
    if not isinstance(source, DicomSeries):
        source = Path(source)
        if not os.path.isdir(source) and not source.name.lower().endswith(ITK_SUFFIXES):
            return read_volume(source, channel, form, any_spacing)
    if channel:
        raise LiverSegError(f"Expected a 4D NIfTI file for channel {channel}. Received {source}.")
    if isinstance(source, DicomSeries):
        return read_series(source)
    return (
        read_series(_only_series(source))
        if os.path.isdir(source)
        else read_itk(source, any_spacing)
    )


def source_files(source: Path | DicomSeries) -> list[Path]:
    """List the files from which an image is read, so that changes can be detected."""
    if isinstance(source, DicomSeries):
        return list(source.files)
    if os.path.isdir(source):
        return list(files_below(source))
    return itk_files(source) if str(source).lower().endswith(ITK_SUFFIXES) else [Path(source)]


def read_label_image(path: Path, form: str | None = None, any_spacing: bool = False) -> Volume:
    """Read a label map in any format as uint8; see `as_labels` and `read_image`."""
    return as_labels(read_image(path, form=form, any_spacing=any_spacing), path)


def read_image_size(
    path: Path, channel: int | None = None
) -> tuple[tuple[int, int, int], np.dtype, tuple[float, float, float]]:
    """Read the size of an image from its header, without its voxels.

    Args:
        path: See `read_image`; not a folder.
        channel: See `read_image`.

    Returns:
        The shape along the file's axes i, j, k, the data type of the stored values (float32 if
        slope or intercept make floats of them), and the spacing along these axes in mm.

    Raises:
        LiverSegError: If there is no valid header of a 3D image.
    """
    if not path.name.lower().endswith(ITK_SUFFIXES):
        return nifti.read_image_size(path, channel)
    header = read_itk_header(path)
    i, j, k = header.voxels.shape
    i_mm, j_mm, k_mm = map(float, voxel_sizes(header.affine))
    return (i, j, k), header.voxels.dtype, (i_mm, j_mm, k_mm)


def _only_series(folder: Path) -> DicomSeries:
    series = find_volume_series(folder)
    if len(series) != 1:
        listed = "; ".join(f"{one} ({count(one.image_count, 'image')})" for one in series)
        raise LiverSegError(
            f"Expected one DICOM series in {folder}. Received {listed or 'no series'}."
        )
    return series[0]
