"""What is written for a predicted case: masks, DICOM objects, surfaces, measurements."""

from dataclasses import dataclass, replace
from pathlib import Path

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.dicom.series import DicomSeries
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.predict.outputs.dicom_seg import check_highdicom, write_seg
from liverseg_tf.predict.outputs.measurements import measure
from liverseg_tf.predict.outputs.mesh import build_mesh, write_obj, write_stl
from liverseg_tf.predict.outputs.rtstruct import write_rtstruct

FORMATS = ("nifti", "seg", "rtstruct", "stl", "obj")
_SURFACES = {"stl": write_stl, "obj": write_obj}
_DICOM = {"seg": write_seg, "rtstruct": write_rtstruct}


@dataclass(frozen=True)
class Outputs:
    """What is written for each case.

    Args:
        formats: of `FORMATS`.
        measure: whether measurements are written as well.

    Raises:
        SettingsError: on another format.
        LiverSegError: when what a format needs isn't installed.
    """

    formats: tuple[str, ...] = ("nifti",)
    measure: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", tuple(dict.fromkeys(self.formats)))
        for name in self.formats:
            if name not in FORMATS:
                raise SettingsError(f"Expected formats of {', '.join(FORMATS)}. Received {name!r}.")
        if "seg" in self.formats:
            check_highdicom()

    def check_source(self, source: Path | DicomSeries) -> None:
        """Refuse what can't be written for a source, before time is spent on it.

        Raises:
            LiverSegError: when a DICOM object is asked for and the image is no DICOM series.
        """
        asked = [name for name in self.formats if name in _DICOM]
        if asked and not isinstance(source, DicomSeries):
            raise LiverSegError(
                f"Expected a DICOM series as input for --format {asked[0]}, for its files to be "
                f"referred to. Received {source}."
            )

    @property
    def besides_nifti(self) -> "Outputs":
        """All of it but the label map, which can be written slab by slab."""
        return replace(self, formats=tuple(name for name in self.formats if name != "nifti"))

    def paths(self, folder: Path, name: str, regions: Regions) -> list[Path]:
        """The files of a case, in the order in which they are written.

        Whoever resumes finds the mask last: where it is, the others are.
        """
        files = [f"{name}.json"] if self.measure else []
        for kind in FORMATS[::-1]:
            if kind in self.formats:
                files += _file_names(kind, name, regions)
        return [Path(folder) / file for file in files]


@dataclass(frozen=True, eq=False)
class SegmentedCase:
    """A case with its labels.

    Args:
        source: file, or DICOM series, that the image was read from.
        image: (z, row, col), HU or MR units.
        labels: uint8, on the image's grid.
        regions: what the labels mean.
        quality: of each region, from passes that disagree; None where there was one pass.
    """

    source: Path | DicomSeries
    image: Volume
    labels: Volume
    regions: Regions
    agreement: dict[str, float | None] | None = None


def write_outputs(folder: Path, name: str, case: SegmentedCase, outputs: Outputs) -> list[Path]:
    """Write a case's files, each whole or not at all.

    - `NAME.nii.gz`: the label map, with the image's header;
    - `NAME.seg.dcm`: DICOM-SEG; `NAME.rtstruct.dcm`: RTSTRUCT;
    - `NAME_REGION.stl`, `NAME_REGION.obj`: a surface for each region, without triangles where
      the region is empty; letters that file names can't have become %XX;
    - `NAME.json`: what `measure` gives, and `agreement` for each region where it is known.

    Args:
        folder: of the files; made where it is missing.
        name: of the case.
        case: what was predicted.
        outputs: which of them.

    Returns:
        The files.

    Raises:
        LiverSegError: when one can't be written; those before it are there.
    """
    outputs.check_source(case.source)
    folder = Path(folder)
    if outputs.measure:
        write_json(folder / f"{name}.json", _measurements(case))
    surfaces = {}
    if _SURFACES.keys() & set(outputs.formats):
        surfaces = {
            region: build_mesh(case.labels, case.regions, region) for region in case.regions.names
        }
    for kind in FORMATS[::-1]:
        if kind not in outputs.formats:
            continue
        files = [folder / file for file in _file_names(kind, name, case.regions)]
        if kind in _SURFACES:
            for file, (region, surface) in zip(files, surfaces.items(), strict=True):
                _SURFACES[kind](file, surface, region)
        elif kind in _DICOM:
            _DICOM[kind](files[0], case.source, case.labels, case.regions)
        else:
            write_labels(files[0], case.labels)
    return outputs.paths(folder, name, case.regions)


def _measurements(case: SegmentedCase) -> dict:
    found = measure(case.image, case.labels, case.regions)
    for name, agreement in (case.agreement or {}).items():
        found["regions"][name]["agreement"] = agreement
    return found


def _file_names(kind: str, name: str, regions: Regions) -> list[str]:
    if kind in _SURFACES:
        return [f"{name}_{escaped(region)}.{kind}" for region in regions.names]
    return [f"{name}.{kind}.dcm" if kind in _DICOM else f"{name}.nii.gz"]


def escaped(region: str) -> str:
    """A region's name as part of a file's name, or as a folder's: '..' is no folder above."""
    return "".join(
        f"%{ord(letter):02X}"
        if letter in '%/\\:*?"<>|' or ord(letter) < 32 or (letter == "." and not place)
        else letter
        for place, letter in enumerate(region)
    )
