"""The files of LiTS, wherever its parts were unpacked."""

import filecmp
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from liverseg_tf.ct.folder_walk import walk
from liverseg_tf.ct.nifti import nifti_stem

LITS_NAME = re.compile(r"(volume|segmentation)-(\d+)$", re.IGNORECASE)


def lits_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The volumes and the segmentations below a folder, each sorted by path.

    Copies under one name count once: people put the same masks beside each part.
    """
    below = (root / name for root, folders, names in walk(folder) for name in (*folders, *names))
    found = sorted(path for path in below if LITS_NAME.match(nifti_stem(path) or ""))
    # Kaggle unpacks some files into folders of their own name: volume-3.nii/volume-3.nii
    folders = {path.parent for path in found}
    found = [path for path in found if path not in folders]
    volumes = [path for path in found if path.name.lower().startswith("volume")]
    return list(_no_copies(volumes)), list(
        _no_copies(path for path in found if path not in volumes)
    )


def _no_copies(paths: Iterable[Path]) -> Iterator[Path]:
    known: dict[str, list[Path]] = {}
    for path in paths:
        others = known.setdefault(path.name, [])
        if not any(_same_bytes(path, other) for other in others):
            others.append(path)
            yield path


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # unreadable, which its reader reports
        return False
