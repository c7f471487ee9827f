"""Which cases are of one patient, according to DICOM files and their folders."""

from collections.abc import Mapping
from pathlib import Path

from liverseg_tf.ct.dicom.recognise import Kind, recognise
from liverseg_tf.ct.dicom.series import DicomSeries, files_below


def find_patients(images: Mapping[str, Path | DicomSeries], root: Path) -> dict[str, str]:
    """Name the patient of each DICOM series: the PatientID, or else the patient's folder.

    The folder is the first one below the folder that contains all series. A series without a
    PatientID belongs to the patient of the other series in its folder.

    Args:
        images: Images by case name. Files that are not DICOM are ignored, since nothing in them
            names the patient.
        root: Root folder of the data set.

    Returns:
        Patients by case name.
    """
    folders: dict[str, Path] = {}
    named: dict[str, str] = {}
    for name, image in images.items():
        if isinstance(image, DicomSeries):
            folders[name], named[name] = image.folder, image.patient_id
        elif image.is_dir():
            folders[name], named[name] = image, _first_patient(image)
    top = _top_folders(folders, Path(root))
    known = {top[name]: patient for name, patient in named.items() if patient}
    return {name: patient or known.get(top[name], top[name]) for name, patient in named.items()}


def _first_patient(folder: Path) -> str:
    """The PatientID of the first DICOM slice in a folder; empty if there is none."""
    for path in files_below(folder):
        file = recognise(path)
        if file.kind is Kind.SLICE:
            return file.patient_id
    return ""


def _top_folders(folders: dict[str, Path], root: Path) -> dict[str, str]:
    """The first folder of each series in which the series differ, or its name if there is none."""
    parts = {
        name: folder.relative_to(root).parts if folder.is_relative_to(root) else folder.parts
        for name, folder in folders.items()
    }
    while len({part[:1] for part in parts.values()}) == 1 and all(parts.values()):
        parts = {name: part[1:] for name, part in parts.items()}
    return {name: part[0] if part else name for name, part in parts.items()}
