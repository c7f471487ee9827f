"""The images that the server knows: those of the studies, which are listed once, and uploads."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from liverseg_tf.atomic import replacing
from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.ct.images import IMAGE_SUFFIXES, image_stem, read_image, source_files
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.dataset.provenance import digest_content
from liverseg_tf.partials import remove
from liverseg_tf.predict.outputs.case_outputs import file_safe_name
from liverseg_tf.printable import printable
from liverseg_tf.serve.server.archived_images import ArchivedImage
from liverseg_tf.serve.server.limits import Refusal

Source = Path | DicomSeries
Origin = Source | ArchivedImage
_MAX_NAME = 120  # characters; a file name has at most 255 bytes
_MANY_FILES = (".mhd", ".nhdr")


@dataclass(frozen=True)
class Study:
    """An image that viewers may ask for.

    Args:
        name: Name of the image, by which viewers know it.
        origin: File, DICOM series, or series in an archive.
        uploaded: Whether a viewer has uploaded it.
    """

    name: str
    origin: Origin
    uploaded: bool = False

    @property
    def source(self) -> Source:
        """File or DICOM series; it is fetched if it is in an archive.

        Raises:
            LiverSegError: If it cannot be fetched.
        """
        return self.origin.fetch() if isinstance(self.origin, ArchivedImage) else self.origin

    @property
    def series_uid(self) -> str | None:
        """SeriesInstanceUID of a DICOM series."""
        if isinstance(self.origin, ArchivedImage):
            return self.origin.series_uid
        return self.origin.uid if isinstance(self.origin, DicomSeries) else None

    @property
    def suffix(self) -> str:
        """Suffix of the file that `Studies.download` provides."""
        if not isinstance(self.origin, Path) or not image_stem(self.origin):
            return ".nii.gz"
        suffix = next(s for s in IMAGE_SUFFIXES if self.origin.name.lower().endswith(s))
        return ".nii.gz" if suffix in _MANY_FILES else suffix

    def describe(self) -> dict[str, str]:
        """Return the name of the file, and the UIDs by which OHIF opens a DICOM series.

        The name and the ID of the patient are left out.
        """
        entries = {"name": f"{self.name}{self.suffix}"}
        if self.series_uid is not None:
            entries["SeriesInstanceUID"] = self.series_uid
        if isinstance(self.origin, ArchivedImage):
            entries["StudyInstanceUID"] = self.origin.study_uid
        elif isinstance(self.origin, DicomSeries):
            entries["StudyInstanceUID"] = _study_uid(self.origin)
        return entries


class Studies:
    """The images by name. Names that a request contains are looked up, and never become paths.

    Args:
        found: Images of the studies by name.
        uploads: Folder for uploaded images, which is read.
    """

    def __init__(self, found: Mapping[str, Origin], uploads: Path):
        self._uploads = Path(uploads)
        self._lock, self._changing = threading.Lock(), threading.Lock()
        self._studies = {name: Study(name, origin) for name, origin in found.items()}
        for name, source in _find_uploads(self._uploads):
            self._studies.setdefault(name, Study(name, source, uploaded=True))

    def names(self) -> list[str]:
        """Return the names of all images."""
        with self._lock:
            return list(self._studies)

    def get(self, name: str) -> Study:
        """Return an image by its name, or by the SeriesInstanceUID, which OHIF sends.

        Raises:
            Refusal: If there is no such image.
        """
        with self._lock:
            study = self._studies.get(name)
            if study is None and name:
                of_uid = [one for one in self._studies.values() if one.series_uid == name]
                study = of_uid[0] if len(of_uid) == 1 else None
        if study is None:
            raise Refusal(
                404,
                f"Expected the name of an image that the server lists. Received "
                f"{printable(name)[:_MAX_NAME] or 'no name'}.",
            )
        return study

    def add(self, name: str, received: Source) -> Study:
        """Add an uploaded image, which is read completely before it is kept.

        Args:
            name: Name of the image.
            received: Image in a private folder.

        Raises:
            Refusal: If the name cannot be used, or another image has it.
            LiverSegError: If the image cannot be read or stored.
        """
        _check_name(name)
        read_image(received)
        with self._changing:  # two uploads under one name must not write one file
            with self._lock:
                known = self._studies.get(name)
            if known is not None:
                if digest_content(known.source) == digest_content(received):
                    return known
                raise Refusal(
                    409,
                    f"Expected a new name for this image. Received {name}, which is the name of "
                    "another image: choose another name, or delete that one first.",
                )
            source = _keep(received, self._uploads, file_safe_name(name))
            with self._lock:
                return self._studies.setdefault(name, Study(name, source, uploaded=True))

    def remove(self, name: str) -> None:
        """Remove an uploaded image.

        Raises:
            Refusal: If there is no such image, or it belongs to the studies.
        """
        study = self.get(name)
        if not study.uploaded:
            raise Refusal(
                403,
                f"Expected the name of an uploaded image. Received {study.name}, which belongs to "
                "the studies: the server does not delete their files.",
            )
        with self._changing:
            with self._lock:
                self._studies.pop(study.name, None)
            remove(_root_of(study.source, self._uploads))

    def download(self, study: Study, folder: Path) -> Path:
        """Provide an image as one file: its own, or a NIfTI file in a folder.

        Args:
            study: Image.
            folder: Folder for a converted image.
        """
        source = study.source
        if isinstance(source, Path) and source.name.lower().endswith(study.suffix):
            return source
        path = folder / "image.nii.gz"
        write_volume(path, read_image(source))
        return path


def _study_uid(series: DicomSeries) -> str:
    try:
        tags = ["StudyInstanceUID"]
        header = dcmread(series.files[0], stop_before_pixels=True, specific_tags=tags)
    except (InvalidDicomError, OSError):
        return ""
    return str(header.get("StudyInstanceUID", ""))


def _check_name(name: str) -> None:
    if (
        not name.strip()
        or len(name) > _MAX_NAME
        or name.startswith(".")
        or "/" in name
        or "\\" in name
        or printable(name) != name
    ):
        raise Refusal(
            422,
            f"Expected a name of at most {_MAX_NAME} characters without / and \\ that does not "
            f"start with a dot. Received {printable(name)[:_MAX_NAME] or 'no name'}.",
        )


def _keep(received: Source, folder: Path, stem: str) -> Source:
    """Copy an image into the folder of uploads, atomically."""
    if isinstance(received, Path):
        suffix = next(s for s in IMAGE_SUFFIXES if received.name.lower().endswith(s))
        if suffix in _MANY_FILES:  # from an archive, with its voxels in another file
            target = folder / f"{stem}.nii.gz"
            write_volume(target, read_image(received))
            return target
        target = folder / f"{stem}{suffix}"
        with replacing(target) as partial:
            partial.write_bytes(received.read_bytes())
        return target
    target = folder / stem
    with replacing(target) as partial:
        partial.mkdir()
        for number, file in enumerate(source_files(received)):
            (partial / f"{number:06}.dcm").write_bytes(file.read_bytes())
    return find_volume_series(target)[0]


def _find_uploads(folder: Path) -> Iterator[tuple[str, Source]]:
    """Yield the names and images of a folder of uploads."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            series = find_volume_series(path)
            if len(series) == 1:
                yield _name_of(path.name), series[0]
        elif stem := image_stem(path):
            yield _name_of(stem), path


def _name_of(stem: str) -> str:
    """Return the name from which `file_safe_name` made the stem of a file."""
    parts = stem.split("%")
    return parts[0] + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts[1:])


def _root_of(source: Source, folder: Path) -> Path:
    """Return the file or folder of an uploaded image."""
    file = source if isinstance(source, Path) else source.files[0]
    return folder / file.relative_to(folder).parts[0]
