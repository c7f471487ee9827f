"""Case names of the DICOM series below a folder."""

import re
from collections import Counter
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, find_volume_series
from liverseg_tf.errors import LiverSegError


def find_series_by_name(root: Path) -> dict[str, DicomSeries]:
    """Find the series below a folder by case name; see `group_series_by_name`.

    Raises:
        LiverSegError: If no series is a volume, or two series have the same name.
    """
    by_name = group_series_by_name(root)
    for name, series in by_name.items():
        if len(series) > 1:
            raise LiverSegError(
                f"Expected one series per case. Received {series[0]} and {series[1]}, "
                f"both named {name}."
            )
    return {name: series[0] for name, series in by_name.items()}


def group_series_by_name(root: Path) -> dict[str, list[DicomSeries]]:
    """Group the series below a folder by case name; several may have the same name.

    A series is named after its folder relative to the root (`patient1/CT` becomes `patient1_CT`;
    a series in the root itself gets the name of the root). If a folder contains several series,
    the series number is appended (`patient1_CT_series3`), or the series UID if the number is
    missing or not unique.

    Raises:
        LiverSegError: If no series is a volume.
    """
    all_series = find_volume_series(root)
    if not all_series:
        raise LiverSegError(
            f"Expected a DICOM series in {root}. Received no series that is a volume."
        )
    per_folder = Counter(series.folder for series in all_series if series.uid)
    per_number = Counter((series.folder, series.number) for series in all_series)
    by_name: dict[str, list[DicomSeries]] = {}
    for series in all_series:
        name = "_".join(series.folder.relative_to(root).parts) or Path(root).resolve().name
        if per_folder[series.folder] > 1 or not series.uid:
            unique = series.number.isdecimal() and per_number[series.folder, series.number] == 1
            name += f"_series{series.number}" if unique else "_" + _file_name_part(series.uid)
        by_name.setdefault(name, []).append(series)
    return by_name


def _file_name_part(uid: str) -> str:
    """Make a UID fit for a file name; damaged headers may contain any characters."""
    return re.sub(r"[^0-9A-Za-z.]", "-", uid) or "without-uid"
