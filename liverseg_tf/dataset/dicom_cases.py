"""The names under which the DICOM series of a tree are cases."""

import re
from collections import Counter
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, volume_series
from liverseg_tf.errors import LiverSegError


def named_series(root: Path) -> dict[str, DicomSeries]:
    """As `series_by_name`, one of each name.

    Raises:
        LiverSegError: when nothing there is a volume, or two series get one name.
    """
    named = series_by_name(root)
    for name, series in named.items():
        if len(series) > 1:
            raise LiverSegError(
                "Expected one series a case. "
                f"Received {series[0]} and {series[1]}, both named {name}."
            )
    return {name: series[0] for name, series in named.items()}


def series_by_name(root: Path) -> dict[str, list[DicomSeries]]:
    """The volumes of a tree by case name, which two may share.

    A series is named after its folder below the root (`patient1/CT` becomes `patient1_CT`; files
    in the root itself take the root's name). Where a folder holds several, the series' number
    follows (`patient1_CT_series3`), or its UID where two have one number or none.

    Raises:
        LiverSegError: when nothing there is a volume.
    """
    series = volume_series(root)
    if not series:
        raise LiverSegError(f"Expected a DICOM series in {root}. Received none that is a volume.")
    in_folder = Counter(one.folder for one in series if one.uid)
    numbered = Counter((one.folder, one.number) for one in series)
    named: dict[str, list[DicomSeries]] = {}
    for one in series:
        name = "_".join(one.folder.relative_to(root).parts) or Path(root).resolve().name
        if in_folder[one.folder] > 1 or not one.uid:
            unique = one.number.isdecimal() and numbered[one.folder, one.number] == 1
            name += f"_series{one.number}" if unique else "_" + _file_name(one.uid)
        named.setdefault(name, []).append(one)
    return named


def _file_name(uid: str) -> str:
    """A UID as part of a file's name; broken headers hold anything."""
    return re.sub(r"[^0-9A-Za-z.]", "-", uid) or "without-uid"
