"""The private folder of the server: uploads and results, which only its user can read."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from liverseg_tf.atomic import create_folder
from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.images import IMAGE_SUFFIXES
from liverseg_tf.ct.itk.read_itk import itk_files
from liverseg_tf.dataset.download.archive import Archive, extract
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count
from liverseg_tf.printable import printable
from liverseg_tf.serve.server.limits import Refusal, ServerLimits

_CHUNK = 1 << 20
_DICOM = (".dcm", ".dicom", ".ima", "")
_PARTS = (".mhd", ".nhdr")  # headers of which the voxels are in another file
_SHOWN = 80  # characters of a file name in a message


class PrivateFiles:
    """A folder for uploads, which is emptied when the server starts and when it ends.

    Args:
        folder: Folder. Whatever it contains is removed.

    Raises:
        LiverSegError: If the folder cannot be written.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.clear()
        create_folder(self.folder)
        self.folder.chmod(0o700)

    def clear(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self) -> Path:
        """Create a folder that only this user can read."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def remove(self, folder: Path) -> None:
        """Remove one of the folders."""
        shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Provide a folder that is removed at the end."""
        folder = self.new_folder()
        try:
            yield folder
        finally:
            self.remove(folder)


def receive_image(
    files: list[tuple[str, BinaryIO]], folder: Path, unpack: bool = False
) -> Path | DicomSeries:
    """Store an uploaded image in a folder.

    Names of uploaded files are never used as paths; only their suffix counts.

    Args:
        files: Names and contents: one file (NIfTI, MetaImage or NRRD), files of one DICOM series,
            or a ZIP archive of them.
        folder: Empty folder.
        unpack: Whether a single file is a ZIP archive, whatever its name.

    Returns:
        The path of the image file, or the DICOM series.

    Raises:
        Refusal: If the files are no image in a format that is read.
        LiverSegError: If an archive is broken or hostile.
    """
    if not files:
        raise Refusal(422, "Expected an image. Received no file.")
    if len(files) == 1 and (unpack or files[0][0].lower().endswith(".zip")):
        packed = folder / "upload.zip"
        _store(files[0][1], packed)
        extract(Archive(packed, "zip"), folder / "unpacked", max_bytes=ServerLimits.disk_bytes)
        packed.unlink()
        return _find_image(folder / "unpacked")
    suffixes = [image_suffix(name) for name, _ in files]
    if len(files) == 1 and suffixes[0] not in _DICOM:
        path = folder / f"image{suffixes[0]}"
        _store(files[0][1], path)
        if suffixes[0] in _PARTS and itk_files(path) != [path]:
            raise Refusal(
                422,
                "Expected an image in one file. Received a header whose voxels are in another "
                "file: send .mha or .nrrd, or a ZIP archive of both files.",
            )
        return path
    for number, ((name, content), suffix) in enumerate(zip(files, suffixes, strict=True)):
        if suffix not in _DICOM:
            raise Refusal(
                422,
                "Expected one image file, or the files of one DICOM series. Received "
                f"{printable(name)[:_SHOWN]} among {count(len(files), 'file')}.",
            )
        _store(content, folder / f"{number:06}.dcm")
    return _only_series(folder)


def image_suffix(name: str) -> str:
    """Return the suffix of an uploaded image in lower case.

    Raises:
        Refusal: If no image has it.
    """
    lower = name.lower().replace("\\", "/").rpartition("/")[2]
    for suffix in IMAGE_SUFFIXES:
        if lower.endswith(suffix):
            return suffix
    suffix = Path(lower).suffix
    # DICOM files are often named after their UIDs
    if suffix in _DICOM or suffix.removeprefix(".").isdecimal():
        return ".dcm"
    raise Refusal(
        422,
        f"Expected an image ending in {', '.join(IMAGE_SUFFIXES)}, .dcm or .zip. "
        f"Received {printable(name)[:_SHOWN]}.",
    )


def _store(content: BinaryIO, path: Path) -> None:
    with open(path, "xb") as file:
        shutil.copyfileobj(content, file, _CHUNK)


def _find_image(folder: Path) -> Path | DicomSeries:
    """Find the image in an unpacked archive, which must hold one image file or one DICOM series."""
    images = [path for path in folder.rglob("*") if path.name.lower().endswith(IMAGE_SUFFIXES)]
    if len(images) == 1:
        return images[0]
    if images:
        raise Refusal(
            422, f"Expected one image in the archive. Received {count(len(images), 'image file')}."
        )
    return _only_series(folder)


def _only_series(folder: Path) -> DicomSeries:
    try:
        series = find_volume_series(folder)
    except LiverSegError as error:
        raise Refusal(422, str(error)) from error
    if len(series) != 1:
        raise Refusal(
            422,
            f"Expected the files of one DICOM series. Received {len(series) or 'no'} series.",
        )
    return series[0]
