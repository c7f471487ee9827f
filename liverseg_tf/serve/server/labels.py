"""The labels that viewers have saved: the latest mask of each image and tag, and all versions."""

import json
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from liverseg_tf.atomic import replacing, write_json
from liverseg_tf.ct.nifti import write_labels
from liverseg_tf.ct.volume import Volume
from liverseg_tf.errors import LiverSegError
from liverseg_tf.predict.outputs.case_outputs import file_safe_name
from liverseg_tf.printable import printable
from liverseg_tf.records import read_record
from liverseg_tf.serve.server.limits import Refusal

FINAL, ORIGINAL = "final", "original"  # corrected by a person, predicted by a model
SUFFIX = ".nii.gz"
MAX_INFO = 100_000  # characters of the entries of a label
_TAG = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_MAX_TAGS = 50


@dataclass(frozen=True)
class SavedLabel:
    """The record of a saved mask.

    Args:
        image: Name of the image.
        tag: Tag of the mask.
        version: Number of the version, from 1.
        labels: Meaning of the values in the mask: value by name.
        saved: Time, in seconds since 1970.
        info: What the viewer sent along, and what was set later.
    """

    image: str
    tag: str
    version: int
    labels: dict[str, int]
    saved: float
    info: dict[str, Any] = field(default_factory=dict)


class LabelStore:
    """The saved masks in a folder.

    `TAG/NAME.nii.gz` is the latest mask and `TAG/NAME.json` its record; every version is kept as
    `TAG/versions/NAME.NUMBER.nii.gz` with its record beside it.

    Args:
        folder: Folder of the masks. What it contains is read.
    """

    def __init__(self, folder: Path):
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._saved: dict[tuple[str, str], SavedLabel] = {}
        for path in sorted(self._folder.glob("*/*.json")):
            with suppress(LiverSegError):  # a damaged record is not a mask
                saved = read_record(path, SavedLabel)
                if path == self._record(saved) and self.path(saved).is_file():
                    self._saved[saved.image, saved.tag] = saved

    def save(
        self, image: str, tag: str, mask: Volume, labels: dict[str, int], info: dict[str, Any]
    ) -> SavedLabel:
        """Save a mask as the latest version.

        Args:
            image: Name of the image, which exists.
            tag: Tag of the mask, such as "final".
            mask: Label map (z, row, col) uint8 on the grid of the image.
            labels: Value by name.
            info: Further entries for the record.

        Raises:
            Refusal: If the tag cannot be used.
            LiverSegError: If the mask cannot be written.
        """
        check_tag(tag)
        with self._lock:
            tags = {other for _, other in self._saved}
            if tag not in tags and len(tags) >= _MAX_TAGS:
                raise Refusal(422, f"Expected at most {_MAX_TAGS} different tags. Received more.")
            version = self._last_version(image, tag) + 1
            saved = SavedLabel(image, tag, version, labels, time.time(), info)
            kept = self._version(saved)
            write_labels(kept, mask)
            write_json(kept.with_name(kept.name.removesuffix(SUFFIX) + ".json"), asdict(saved))
            with replacing(self.path(saved)) as partial:
                _link_or_copy(kept, partial)
            self._write(saved)
        return saved

    def get(self, image: str, tag: str) -> SavedLabel:
        """Return the record of the latest mask.

        Raises:
            Refusal: If there is none.
        """
        saved = self._saved.get((image, tag))
        if saved is None:
            raise Refusal(
                404,
                f"Expected a saved label of {printable(image)[:120]} with the tag "
                f"{printable(tag)[:40]}. Received none.",
            )
        return saved

    def path(self, saved: SavedLabel) -> Path:
        """Return the path of the latest mask."""
        return self._folder / saved.tag / f"{file_safe_name(saved.image)}{SUFFIX}"

    def update_info(self, image: str, tag: str, info: dict[str, Any]) -> SavedLabel:
        """Add entries to the record of the latest mask; see `get`."""
        with self._lock:
            saved = self.get(image, tag)
            merged = saved.info | info
            if len(json.dumps(merged)) > MAX_INFO:
                raise Refusal(
                    422, f"Expected at most {MAX_INFO} characters of entries. Received more."
                )
            saved = SavedLabel(**{**asdict(saved), "info": merged})
            self._write(saved)
        return saved

    def remove(self, image: str, tag: str) -> None:
        """Remove the latest mask of a tag; its versions are kept. See `get`."""
        with self._lock:
            saved = self.get(image, tag)
            self._record(saved).unlink(missing_ok=True)  # first: without it there is no label
            self.path(saved).unlink(missing_ok=True)
            del self._saved[image, tag]

    def of_image(self, image: str) -> dict[str, SavedLabel]:
        """Return the records of the latest masks of an image, by tag."""
        with self._lock:
            return {tag: saved for (name, tag), saved in self._saved.items() if name == image}

    def with_tag(self, tag: str) -> list[SavedLabel]:
        """Return the records of all latest masks with a tag."""
        with self._lock:
            return [saved for saved in self._saved.values() if saved.tag == tag]

    def counts(self) -> dict[str, int]:
        """Return the number of masks by tag."""
        with self._lock:
            tags = [tag for _, tag in self._saved]
        return {tag: tags.count(tag) for tag in sorted(set(tags))}

    def _write(self, saved: SavedLabel) -> None:
        write_json(self._record(saved), asdict(saved))
        self._saved[saved.image, saved.tag] = saved

    def _record(self, saved: SavedLabel) -> Path:
        return self.path(saved).with_name(f"{file_safe_name(saved.image)}.json")

    def _version(self, saved: SavedLabel) -> Path:
        name = f"{file_safe_name(saved.image)}.{saved.version:04}{SUFFIX}"
        return self._folder / saved.tag / "versions" / name

    def _last_version(self, image: str, tag: str) -> int:
        """Return the highest number of a version on the disk, also of one that was interrupted."""
        known = self._saved.get((image, tag))
        version = 0 if known is None else known.version
        while self._version(SavedLabel(image, tag, version + 1, {}, 0)).exists():
            version += 1
        return version


def check_tag(tag: object) -> str:
    """Return a tag that can be used as the name of a folder.

    Raises:
        Refusal: If it is another one.
    """
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise Refusal(
            422,
            "Expected a tag of at most 32 letters, digits, - and _. "
            f"Received {printable(tag)[:40]}.",
        )
    return tag


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        target.write_bytes(source.read_bytes())
