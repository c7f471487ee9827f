"""A series in an archive, as the archive describes it."""

from dataclasses import dataclass

from liverseg_tf.printable import printable


@dataclass(frozen=True)
class ArchivedSeries:
    """A series in an archive.

    Args:
        uid: SeriesInstanceUID.
        modality: Modality, for example "CT"; empty if the archive does not state it.
        number: SeriesNumber as text; empty if there is none.
        description: SeriesDescription.
        stated_count: NumberOfSeriesRelatedInstances; None if the archive does not state it.
    """

    uid: str
    modality: str = ""
    number: str = ""
    description: str = ""
    stated_count: int | None = None

    def __str__(self) -> str:
        words = [self.number, self.modality, self.description and f"'{self.description}'"]
        return printable(" ".join(["series", *filter(None, words), self.uid]))


def read_series_entry(entry: dict) -> ArchivedSeries:
    """Read a series from an answer of an archive.

    Args:
        entry: DICOM JSON object with a valid SeriesInstanceUID.
    """
    stated = str(first_value(entry, "00201209"))
    return ArchivedSeries(
        uid=str(first_value(entry, "0020000E")),
        modality=str(first_value(entry, "00080060") or ""),
        number=str(first_value(entry, "00200011") or ""),
        description=str(first_value(entry, "0008103E") or ""),
        stated_count=int(stated) if stated.isascii() and stated.isdecimal() else None,
    )


def first_value(entry: object, tag: str) -> object:
    """Return the first value of a tag in an answer; None if there is none.

    Args:
        entry: DICOM JSON object, or anything else that a faulty archive sends.
        tag: Eight hexadecimal digits.
    """
    element = entry.get(tag) if isinstance(entry, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
