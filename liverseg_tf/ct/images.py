"""An image of any format: NIfTI, DICOM, and what SimpleITK reads."""

from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, files_below, read_series, volume_series
from liverseg_tf.ct.itk import ITK_SUFFIXES, itk_files, read_itk
from liverseg_tf.ct.labels import as_labels
from liverseg_tf.ct.nifti import SUFFIXES, read_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError

IMAGE_SUFFIXES = (*SUFFIXES, *ITK_SUFFIXES)


def image_stem(path: Path) -> str | None:
    """The file's name without its ending; None where it is no image's name, or hidden.

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
        source: .nii, .nii.gz, .mha, .mhd or .nrrd file, a DICOM series, or a folder that
            holds one series (localizers aside) at any depth.
        channel: of a 4D NIfTI file, the volume that is read; 0 is any other image's own.

    Returns:
        A volume as `read_volume` gives it; with a header only where it comes from NIfTI.

    Raises:
        LiverSegError: when it is missing, broken or no volume, when a folder holds no series
            or several, or SimpleITK is needed and not installed.
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
    """The files that an image is read from, to see whether they changed."""
    if isinstance(source, DicomSeries):
        return list(source.files)
    if Path(source).is_dir():
        return list(files_below(source))
    return itk_files(source) if str(source).lower().endswith(ITK_SUFFIXES) else [Path(source)]


def read_label_image(path: Path) -> Volume:
    """Read a label map of any format as uint8; see `as_labels`."""
    return as_labels(read_image(path), path)


def _only_series(folder: Path) -> DicomSeries:
    series = volume_series(folder)
    if len(series) != 1:
        listed = "; ".join(f"{one} ({one.images} images)" for one in series)
        raise LiverSegError(f"Expected one DICOM series in {folder}. Received {listed or 'none'}.")
    return series[0]
