"""The output files of a predicted case: masks, DICOM objects, meshes and measurements."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from liverseg_tf import __version__
from liverseg_tf.atomic import write_json
from liverseg_tf.choices import DICOM_FORMATS, FORMATS
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.dataset.provenance import MaskCheck
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.outputs.dicom_header import NAME, DicomHeader
from liverseg_tf.predict.outputs.dicom_seg import check_highdicom, write_seg
from liverseg_tf.predict.outputs.label_description import write_label_description
from liverseg_tf.predict.outputs.measurements import measure
from liverseg_tf.predict.outputs.mesh import Mesh, build_mesh, write_obj, write_stl
from liverseg_tf.predict.outputs.rtstruct import write_rtstruct
from liverseg_tf.predict.outputs.secondary_capture import write_sc
from liverseg_tf.predict.outputs.seg_nrrd import write_seg_nrrd
from liverseg_tf.printable import file_safe_name, printable

_MESH_WRITERS = {"stl": write_stl, "obj": write_obj}
_DICOM_WRITERS = {"seg": write_seg, "rtstruct": write_rtstruct}
_FIRST_CAPTURE = "0001.dcm"
_SUFFIXES = {
    "nifti": ".nii.gz",
    "seg": ".seg.dcm",
    "rtstruct": ".rtstruct.dcm",
    "sc": f".sc/{_FIRST_CAPTURE}",
    "seg.nrrd": ".seg.nrrd",
    "itk-snap": ".labels.txt",
}


@dataclass(frozen=True)
class OutputFormats:
    """The kinds of files that are written for each case.

    Args:
        formats: Names among `choices.FORMATS`.
        measure: Whether measurements are written as well.
        header: Model, description and number of the series of DICOM results, and their UIDs.

    Raises:
        SettingsError: If a format is unknown.
        LiverSegError: If a package that a format needs is not installed.
    """

    formats: tuple[str, ...] = ("nifti",)
    measure: bool = False
    header: DicomHeader = DicomHeader()

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))
        for name in self.formats:
            if name not in FORMATS:
                raise SettingsError(
                    f"Expected formats among {', '.join(FORMATS)}. Received '{name}'."
                )
        if "seg" in self.formats:
            check_highdicom()

    def check_source(self, source: Path | DicomSeries) -> None:
        """Check that the formats can be written for an image, before time is spent on it.

        Raises:
            LiverSegError: If a DICOM object is requested and the image is not a DICOM series.
        """
        dicom_formats = [name for name in self.formats if name in DICOM_FORMATS]
        if dicom_formats and not isinstance(source, DicomSeries):
            raise LiverSegError(
                f"Expected a DICOM series as input for --format {dicom_formats[0]}, because the "
                f"output refers to its files. Received {source}."
            )

    def dicom_files(self, folder: Path, name: str) -> list[Path]:
        """Return the DICOM results of a case that were written.

        Args:
            folder: Folder of the results.
            name: Name of the case.
        """
        files = []
        for kind in DICOM_FORMATS:
            if kind in self.formats:
                captures = (Path(folder) / f"{name}.sc").glob("*.dcm")
                files += sorted(captures) if kind == "sc" else [folder / f"{name}.{kind}.dcm"]
        return files

    @property
    def need_image(self) -> bool:
        """Whether the voxels of the image are needed, not only its grid and the labels."""
        return self.measure or "sc" in self.formats

    @property
    def without_nifti(self) -> "OutputFormats":
        """The same outputs without the NIfTI label map."""
        return replace(self, formats=tuple(name for name in self.formats if name != "nifti"))

    def paths(self, folder: Path, name: str, regions: Regions) -> list[Path]:
        """Return the paths of a case's files in the order in which they are written.

        The label map is the last one: if it exists, all other files exist. Of the secondary
        captures, the first one stands for their folder, whose files appear together.

        Args:
            folder: Folder of the files.
            name: Name of the case.
            regions: Regions of the labels.
        """
        files = [f"{name}.json"] if self.measure else []
        for kind in FORMATS[::-1]:
            if kind in self.formats:
                files += _file_names(kind, name, regions)
        return [Path(folder) / file for file in files]


@dataclass(frozen=True, eq=False)
class SegmentedCase:
    """A case with its predicted labels.

    Args:
        source: File or DICOM series of the image.
        image: Volume (z, row, col) in HU or MR units.
        labels: Label map uint8 on the grid of the image.
        regions: Regions of the labels.
        agreement: Agreement between the prediction passes for each region. None if it is unknown.
        warnings: What had to be assumed about the image, one line each.
        colours: Colours of some regions, RGB, for viewers. Others have those of `ct.snomed`.
        confidence: Confidence of the prediction for each region. None if it is unknown.
        checks: How far the mask of each region can be trusted, as far as the model knows.
    """

    source: Path | DicomSeries
    image: Volume
    labels: Volume
    regions: Regions
    agreement: dict[str, float | None] | None = None
    warnings: tuple[str, ...] = ()
    colours: Mapping[str, tuple[int, int, int]] | None = None
    confidence: dict[str, float | None] | None = None
    checks: tuple[MaskCheck, ...] = ()


def write_outputs(
    folder: Path, name: str, case: SegmentedCase, outputs: OutputFormats
) -> list[Path]:
    """Write the output files of a case, each of them atomically.

    - `NAME.nii.gz`: label map with the header of the image.
    - `NAME.seg.dcm`: DICOM-SEG. `NAME.rtstruct.dcm`: RTSTRUCT.
    - `NAME.sc/0001.dcm` and so on: secondary captures.
    - `NAME_REGION.stl`, `NAME_REGION.obj`: mesh of each region, without triangles if the region
      is empty. Characters that are not allowed in file names become %XX.
    - `NAME.seg.nrrd`: segmentation for 3D Slicer. `NAME.labels.txt`: names and colours of the
      labels for ITK-SNAP.
    - `NAME.json`: the result of `measure`, `agreement` and `confidence` for each region if they are
      known, `check` if the model knows when not to trust a mask, `model` and
      `software`, and the `warnings`. DICOM objects contain the last three, too.

    Args:
        folder: Folder for the files, which is created if necessary.
        name: Name of the case.
        case: Image and labels.
        outputs: File formats, and whether measurements are written.

    Returns:
        Paths of the files, in the order in which they were written.

    Raises:
        LiverSegError: If a file cannot be written. Files that were written before it remain.
    """
    outputs.check_source(case.source)
    folder, header = Path(folder), outputs.header
    written: list[Path] = []
    if outputs.measure:
        written.append(folder / f"{name}.json")
        write_json(written[0], _measure(case, header))
    meshes: dict[str, Mesh] = {}
    if _MESH_WRITERS.keys() & set(outputs.formats):
        meshes = {
            region: build_mesh(case.labels, case.regions, region) for region in case.regions.names
        }
    for kind in FORMATS[::-1]:
        if kind not in outputs.formats:
            continue
        files = [folder / file for file in _file_names(kind, name, case.regions)]
        about = (case.labels, case.regions, case.warnings, header)
        if kind in _MESH_WRITERS:
            for file, (region, mesh) in zip(files, meshes.items(), strict=True):
                _MESH_WRITERS[kind](file, mesh, region)
        elif kind in DICOM_FORMATS:
            assert isinstance(case.source, DicomSeries), "checked by check_source"
            if kind == "sc":
                files = write_sc(files[0].parent, case.source, case.image, *about)
            else:
                _DICOM_WRITERS[kind](files[0], case.source, *about)
        elif kind == "seg.nrrd":
            write_seg_nrrd(files[0], case.labels, case.regions, case.colours)
        elif kind == "itk-snap":
            write_label_description(files[0], case.regions, case.colours)
        else:
            write_labels(files[0], case.labels)
        written += files
    return written


def _measure(case: SegmentedCase, header: DicomHeader) -> dict:
    measurements = measure(case.image, case.labels, case.regions)
    for region, agreement in (case.agreement or {}).items():
        measurements["regions"][region]["agreement"] = agreement
    for region, confidence in (case.confidence or {}).items():
        measurements["regions"][region]["confidence"] = confidence
    for check in case.checks:
        entries = {"check": check.flagged, "score": check.score, "threshold": check.threshold}
        measurements["regions"][check.region] |= entries
    return measurements | {
        "model": {key: printable(value) for key, value in asdict(header.model).items()},
        "software": f"{NAME} {__version__}",
        "warnings": list(map(printable, case.warnings)),
    }


def _file_names(kind: str, name: str, regions: Regions) -> list[str]:
    if kind in _MESH_WRITERS:
        return [f"{name}_{file_safe_name(region)}.{kind}" for region in regions.names]
    return [name + _SUFFIXES[kind]]
