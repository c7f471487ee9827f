"""The files of a data set with synthetic lesions."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from liverseg_tf.atomic import read_json, write_csv, write_json
from liverseg_tf.ct.nifti import nifti_stem, write_labels, write_volume
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError, SettingsError
from liverseg_tf.phantom.lesions.add_lesions import LesionRecord, add_lesions
from liverseg_tf.phantom.lesions.spec import LesionSpec
from liverseg_tf.phantom.lookalikes.add_lookalikes import LookalikeRecord, add_lookalikes

_COLUMNS = (
    *("case", "kind", "i", "j", "k", "x_mm", "y_mm", "z_mm"),
    *("diameter_mm", "volume_ml", "contrast_hu", "organ_hu"),
)
_OF_LOOKALIKES = tuple(name for name in _COLUMNS if name not in ("volume_ml", "organ_hu"))


class LesionWriter:
    """Writes the cases of a data set with lesions into a folder of the same layout.

    Images and masks that are NIfTI files keep their paths below the folder of the data set.
    If any file has another format, all cases are written to images/NAME.nii.gz and
    masks/NAME.nii.gz.

    Attributes:
        records: The lesions that were drawn, by the name of the case.
        lookalikes: The structures that look like lesions.

    Args:
        dataset: Folder of the data set.
        out: Folder for the new one.
        sources: Paths of image and mask of each case by name; None for an image that is no file.
        seed: Random seed. The lesions of a case follow from it and the name of the case.
        spec: Settings of the lesions.

    Raises:
        SettingsError: If the new folder is that of the data set or inside it.
    """

    def __init__(
        self,
        dataset: Path,
        out: Path,
        sources: Mapping[str, tuple[Path | None, Path | None]],
        seed: int,
        spec: LesionSpec,
    ):
        self._dataset, self._out = Path(dataset).resolve(), Path(out).resolve()
        if self._out == self._dataset or self._dataset in self._out.parents:
            raise SettingsError(
                f"Expected a folder outside of the data set {dataset}. Received {out}: its files "
                "would be mixed with the originals."
            )
        self._seed, self._spec = seed, spec
        self._paths: dict[str, tuple[Path, Path]] = {}
        for name, (image, mask) in sources.items():
            image, mask = self._relative(image), self._relative(mask)
            if image is not None and mask is not None:
                self._paths[name] = (image, mask)
        self._keeps_paths = len(self._paths) == len(sources)
        if not self._keeps_paths:
            for name in sources:
                file = f"{name}.nii.gz"
                self._paths[name] = (Path("images", file), Path("masks", file))
        self.records: dict[str, list[LesionRecord]] = {}
        self.lookalikes: dict[str, list[LookalikeRecord]] = {}

    def write(self, name: str, image: Volume, labels: Volume) -> list[LesionRecord]:
        """Draw lesions into a case and write its files.

        Args:
            name: Name of the case.
            image: CT in HU.
            labels: uint8 label map on the same grid.

        Raises:
            LiverSegError: If lesions cannot be drawn, see `add_lesions`, or a file not be written.
        """
        seed = (self._seed, zlib.crc32(name.encode()))
        image, labels, lookalikes = add_lookalikes(image, labels, seed, self._spec)
        image, labels, records = add_lesions(image, labels, seed, self._spec)
        image_path, mask_path = (self._out / path for path in self._paths[name])
        write_labels(mask_path, labels)
        write_volume(image_path, image)
        self.records[name], self.lookalikes[name] = records, lookalikes
        return records

    def finish(self) -> None:
        """Write lesions.csv, lesions.json, lookalikes.csv if any were asked for, and dataset.json.

        The last one is written if the data set has one.
        """
        write_csv(self._out / "lesions.csv", _COLUMNS, _rows(self.records))
        lesions = {name: list(map(asdict, records)) for name, records in self.records.items()}
        content = {"seed": self._seed, "settings": asdict(self._spec), "cases": lesions}
        if self._spec.lookalikes:
            drawn = {name: self.lookalikes[name] for name in self.records}
            write_csv(self._out / "lookalikes.csv", _OF_LOOKALIKES, _rows(drawn))
            content["lookalikes"] = {
                name: list(map(asdict, records)) for name, records in drawn.items()
            }
        write_json(self._out / "lesions.json", content)
        description = self._dataset / "dataset.json"
        if self._keeps_paths and description.is_file():
            write_json(self._out / "dataset.json", self._describe(read_json(description)))

    def _relative(self, path: Path | None) -> Path | None:
        """Path below the data set of a NIfTI file; None for others."""
        if path is None or nifti_stem(path) is None:
            return None
        path = Path(path).absolute()
        for folder in (self._dataset, Path(self._dataset).absolute()):
            if path.is_relative_to(folder):
                return path.relative_to(folder)
        resolved = path.resolve()
        inside = resolved.is_relative_to(self._dataset)
        return resolved.relative_to(self._dataset) if inside else None

    def _describe(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a dataset.json of the Decathlon or of nnU-Net with the label of the lesions."""
        lesion = self._spec.lesion
        labels = content.get("labels")
        if not isinstance(labels, dict):
            raise LiverSegError(
                f"Expected labels as an object in {self._dataset / 'dataset.json'}. Received none."
            )
        labels = dict(labels)
        if isinstance(content.get("training"), list):  # the Decathlon: names by number
            labels.setdefault(str(lesion), "lesion")
            written = {path.name for name in self.records for path in self._paths[name][:1]}
            training = [
                entry
                for entry in content["training"]
                if isinstance(entry, dict) and Path(str(entry.get("image"))).name in written
            ]
            return content | {
                "labels": labels,
                "training": training,
                "numTraining": len(training),
                "test": [],
                "numTest": 0,
            }
        if lesion not in labels.values():
            labels["lesion"] = lesion
        return content | {"labels": labels, "numTraining": len(self.records)}


def _rows(drawn: Mapping[str, Sequence[LesionRecord] | Sequence[LookalikeRecord]]) -> list[dict]:
    return [{"case": name} | _row(one) for name, records in drawn.items() for one in records]


def _row(record: LesionRecord | LookalikeRecord) -> dict[str, object]:
    i, j, k = record.centre
    x_mm, y_mm, z_mm = record.centre_mm
    places: dict[str, object] = {"i": i, "j": j, "k": k, "x_mm": x_mm, "y_mm": y_mm, "z_mm": z_mm}
    rest = {name: value for name, value in asdict(record).items() if name in _COLUMNS}
    return rest | places


def describe(records: Mapping[str, Sequence[LesionRecord]]) -> str:
    """Return the number of lesions and their sizes, for the user."""
    sizes = sorted(record.diameter_mm for found in records.values() for record in found)
    if not sizes:
        return "no lesions"
    return (
        f"{len(sizes)} lesions of {sizes[0]:g} to {sizes[-1]:g} mm "
        f"(median {sizes[len(sizes) // 2]:g} mm)"
    )
