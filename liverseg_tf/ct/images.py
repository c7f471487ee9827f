"""Reading of images in any format: NIfTI, DICOM, MetaImage and NRRD."""

from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, files_below, find_volume_series, read_series
from liverseg_tf.ct.itk.read_itk import ITK_SUFFIXES, itk_files, read_itk
from liverseg_tf.ct.labels import as_labels
from liverseg_tf.ct.nifti import SUFFIXES, read_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count

IMAGE_SUFFIXES = (*SUFFIXES, *ITK_SUFFIXES)


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


def read_image(source: Path | DicomSeries, channel: int | None = None) -> Volume:
    """Read an image, in its own axis order.

    Args:
        source: .nii, .nii.gz, .mha, .mhd or .nrrd file, a DICOM series, or a folder with one
            series at any depth (localizers are ignored).
        channel: Index of the volume to read from a 4D NIfTI file. For other images, 0 means the
            image itself.

    Returns:
        A volume as returned by `read_volume`. Only volumes from NIfTI files have a header.

    Raises:
        LiverSegError: If the image is missing, damaged or not a volume, if a folder does not
            contain exactly one series, or if SimpleITK is needed and not installed.
    """
    if not isinstance(source, DicomSeries):
        source = Path(source)
        if not source.is_dir() and not source.name.lower().endswith(ITK_SUFFIXES):
            return read_volume(source, channel)
    if channel:
        raise LiverSegError(f"Expected a 4D NIfTI file for channel {channel}. Received {source}.")
    if isinstance(source, DicomSeries):
        return read_series(source)
    return read_series(_only_series(source)) if source.is_dir() else read_itk(source)


def source_files(source: Path | DicomSeries) -> list[Path]:
    """List the files from which an image is read, so that changes can be detected."""
    if isinstance(source, DicomSeries):
        return list(source.files)
    if Path(source).is_dir():
        return list(files_below(source))
    return itk_files(source) if str(source).lower().endswith(ITK_SUFFIXES) else [Path(source)]


def read_label_image(path: Path) -> Volume:
    """Read a label map in any format as uint8; see `as_labels`."""
    return as_labels(read_image(path), path)


def _only_series(folder: Path) -> DicomSeries:
    series = find_volume_series(folder)
    if len(series) != 1:
        listed = "; ".join(f"{one} ({count(one.image_count, 'image')})" for one in series)
        raise LiverSegError(
            f"Expected one DICOM series in {folder}. Received {listed or 'no series'}."
        )
    return series[0]
