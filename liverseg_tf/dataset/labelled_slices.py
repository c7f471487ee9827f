"""The list of the slices that somebody has labelled in each case: `labelled_slices.csv`."""

import csv
import io
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from liverseg_tf.ct.regular_file import regular_file_size
from liverseg_tf.ct.slice_list import SliceList
from liverseg_tf.dataset.cases import detect_layout
from liverseg_tf.errors import LiverSegError, SettingsError, reason_of
from liverseg_tf.printable import printable

FILE_NAME = "labelled_slices.csv"
_SPELLINGS = ("labelledslices.csv", "labeledslices.csv")
_MAX_BYTES = 10_000_000
_WILDCARDS = set("*?[")
_HEADERS = (["case", "slices"], ["case", "slice"])


@dataclass(frozen=True)
class LabelledSlices:
    """The labelled slices of the cases of a data set, counted from 0 along the mask's third axis.

    Args:
        source: The file from which they were read.
        entries: Names of cases, or shell patterns such as `btcv_*`, with their slices.
    """

    source: Path
    entries: tuple[tuple[str, SliceList], ...]

    def of(self, case: str) -> SliceList | None:
        """Return the slices of a case; None if no entry matches it, so that all are labelled.

        An entry with the name of the case counts before patterns, and of these, the last one.
        """
        by_name = dict(self.entries)
        if case in by_name:
            return by_name[case]
        matching = [slices for pattern, slices in self.entries if _matches(case, pattern)]
        return matching[-1] if matching else None

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """Return the entries that match no case."""
        known = set(names)
        return [
            pattern
            for pattern, _ in self.entries
            if pattern not in known and not any(_matches(name, pattern) for name in known)
        ]


def _matches(case: str, pattern: str) -> bool:
    return not _WILDCARDS.isdisjoint(pattern) and fnmatchcase(case, pattern)


def find_labelled_slices(folders: Iterable[Path]) -> Path | None:
    """Find `labelled_slices.csv` in the first folder that contains it; None if there is none.

    Args:
        folders: Folders, some of which may be missing.

    Raises:
        LiverSegError: If a folder contains two such files, or cannot be read.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            continue
        try:
            names = [name for name in os.listdir(folder) if _is_list(name)]
        except OSError as error:
            raise LiverSegError(f"Cannot read {folder}: {reason_of(error)}.") from error
        if len(names) > 1:
            raise LiverSegError(
                f"Expected one list of labelled slices in {folder}. Received "
                f"{' and '.join(sorted(names))}: remove one of them."
            )
        if names:
            return Path(folder) / names[0]
    return None


def _is_list(name: str) -> bool:
    """Whether a file has the name of the list, with any letter case, hyphens and spellings."""
    return re.sub(r"[-_ ]", "", name.lower()) in _SPELLINGS


def read_labelled_slices(path: Path) -> LabelledSlices:
    """Read a list of labelled slices.

    Args:
        path: CSV file (commas, semicolons or tabs) with the header "case,slices". The slices of a
            row may be in quotes or not: `case_1,0-5,10,20`. Rows of the same case are joined, so
            that each row may also name one slice.

    Raises:
        LiverSegError: If the file cannot be read, or a row has another form.
    """
    size = regular_file_size(path)
    if size > _MAX_BYTES:
        raise LiverSegError(
            f"Expected a list of labelled slices of at most 10 MB. Received {size / 1e6:.0f} MB in "
            f"{path}."
        )
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        rows = _read_rows(text)
    except OSError as error:
        raise LiverSegError(f"Cannot read {path}: {reason_of(error)}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LiverSegError(
            f"Expected a CSV file in UTF-8 with the columns case and slices in {path}. Received "
            "other content: save it as CSV UTF-8."
        ) from error
    header = [column.strip().lower() for column in rows[0][1] if column.strip()] if rows else []
    if header not in _HEADERS:
        raise LiverSegError(
            f"Expected the columns case,slices in the first line of {path}. Received "
            f"{printable(','.join(header)[:60]) or 'an empty file'}."
        )
    slices: dict[str, str] = {}
    for line, (case, *items) in rows[1:]:
        case = case.strip()
        if not case or not "".join(items).strip():
            raise LiverSegError(
                f"Expected a case and its labelled slices in line {line} of {path}. Received "
                f"{f'no slices for {printable(case)}' if case else 'no name of a case'}: complete "
                "it, or remove the case from the data set."
            )
        slices[case] = ",".join([*([slices[case]] if case in slices else []), *items])
    return LabelledSlices(path, tuple(_parse(slices, path)))


def _read_rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with the numbers of their lines."""
    header = text.split("\n", 1)[0]
    delimiter = next((one for one in ";\t" if one in header), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]


def _parse(slices: dict[str, str], path: Path) -> Iterable[tuple[str, SliceList]]:
    if not slices:
        raise LiverSegError(f"Expected the labelled slices of cases in {path}. Received no row.")
    for case, text in slices.items():
        try:
            yield case, SliceList.parse(text)
        except SettingsError as error:
            raise LiverSegError(f"{error} (case {printable(case)} in {path})") from error


def describe_unnumbered_slices(mask: Path) -> str:
    """Say that the slices of a file with named segments cannot be listed.

    Args:
        mask: DICOM-SEG, RTSTRUCT or .seg.nrrd.
    """
    return (
        f"Expected a label map for a case of {FILE_NAME}, which counts slices. Received {mask}, "
        "whose segments are drawn on the slices of the image: convert it with `liverseg convert`."
    )


def folders_of(masks: Path) -> list[Path]:
    """Return the folders in which the list of the labelled slices of masks may be.

    Args:
        masks: Mask, folder of masks, or data set.
    """
    masks = Path(masks).absolute()
    if masks.is_dir():
        return [masks] if detect_layout(masks) else [masks, masks.parent]
    return [masks.parent, masks.parent.parent]
