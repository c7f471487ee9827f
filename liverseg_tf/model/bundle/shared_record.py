"""The record of a run without anything that tells who was scanned, or where it was trained."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from liverseg_tf import choices
from liverseg_tf.errors import LiverSegError
from liverseg_tf.model.run_record import RunRecord, read_run
from liverseg_tf.printable import printable

_SIDES = choices.SIDES
_SHORTEST_NAME = 3  # shorter names of cases, such as '1', are part of any text
_REGIONS = ("regions", "auxiliary")  # settings whose keys are names of regions
_RESULTS = ("steps", "seconds")


def make_shared_record(run: Path, checksum: str) -> dict:
    """Return the contents of `run.json` for a bundle.

    It is made of what is known to be harmless: numbers, and names that the package defines. Names
    of cases, checksums of their tiles, paths and texts stay behind.

    Args:
        run: Folder of a finished run.
        checksum: Checksum of the model in the bundle.

    Raises:
        LiverSegError: If the run cannot be read.
    """
    record, entries = RunRecord.read(run), read_run(run)
    settings, result = entries.get("settings"), entries.get("result")
    return {
        "format": entries["format"],
        "network": record.network.to_json(),
        "settings": _shared_settings(settings if isinstance(settings, dict) else {}),
        "parameters": _number_or_none(entries.get("parameters")),
        "hardware": {"precision": record.precision},
        "store": {"split": {side: [] for side in _SIDES}},
        "postprocessing": record.postprocessing.to_json(),
        # numbers, and names of regions
        "trust": record.trust.to_json(),
        "training_range": record.training_range.to_json(),
        "result": {
            "dice": validation_dice(run),
            **{key: _number_or_none(_entry(result, key)) for key in _RESULTS},
            "checksum": checksum,
        },
        "versions": _shared_versions(entries.get("versions")),
    }


def validation_dice(run: Path) -> dict[str, float]:
    """Return the Dice of each region on the validation cases of a run, as far as it is known."""
    regions = RunRecord.read(run).network.regions.names
    dice = _entry(read_run(run).get("result"), "dice")
    values = {name: _number_or_none(_entry(dice, name)) for name in regions}
    return {name: float(value) for name, value in values.items() if value is not None}


def check_names_nobody(texts: Mapping[str, str], run: Path) -> None:
    """Check that no text of a bundle contains the name of a case or the path of a home folder.

    Args:
        texts: Texts of the bundle by what they are.
        run: Folder of the run, whose split names the cases.

    Raises:
        LiverSegError: If a text does.
    """
    record = RunRecord.read(run)
    regions = {name.casefold() for name in record.network.regions.names}
    cases = {name for names in record.split.values() for name in names}
    home = str(Path.home())
    for place, text in texts.items():
        found = _find_name(text, (name for name in cases if name.casefold() not in regions))
        if found is not None:
            raise LiverSegError(
                f"Expected no name of a case in {place} of a bundle. Received the name "
                f"{printable(found)}, which may tell who was scanned: remove it from the text."
            )
        if len(home) > 1 and (home + "/" in text or home + "\\" in text):
            raise LiverSegError(
                f"Expected no path of this machine in {place} of a bundle. Received {home}: remove "
                "it from the text."
            )


def _find_name(text: str, names: Iterable[str]) -> str | None:
    """Return the first of some names that stands in a text as a word of its own."""
    folded = text.casefold()
    for name in names:
        key = name.casefold()
        start = folded.find(key) if len(key) >= _SHORTEST_NAME else -1
        while start >= 0:
            before, after = folded[start - 1 : start], folded[start + len(key) :][:1]
            if not (before.isalnum() or after.isalnum()):
                return name
            start = folded.find(key, start + 1)
    return None


def _shared_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the settings that are numbers or choices, and the labels of regions."""
    words = _words_of_choices()

    def is_shared(value: object) -> bool:
        if isinstance(value, list):
            return all(map(is_shared, value))
        return value in words if isinstance(value, str) else isinstance(value, int | float | None)

    kept = {key: value for key, value in settings.items() if is_shared(value)}
    return kept | {key: settings[key] for key in _REGIONS if settings.get(key) is not None}


def _words_of_choices() -> set[str]:
    """Return every name that `choices` defines."""
    words = {"imagenet"}
    for name, value in vars(choices).items():
        if name.isupper() and isinstance(value, tuple):
            words |= {word for word in value if isinstance(word, str)}
    return words


def _shared_versions(versions: object) -> dict[str, str]:
    if not isinstance(versions, dict):
        return {}
    return {
        str(key): str(value)
        for key, value in versions.items()
        if str(key).isidentifier() and len(str(value)) < 40 and "/" not in str(value)
    }


def _number_or_none(value: object) -> int | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None  # type: ignore[return-value]


def _entry(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None
