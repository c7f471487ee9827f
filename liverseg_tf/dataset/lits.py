"""The files of the LiTS data set, in any folder structure."""

import filecmp
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from liverseg_tf.ct.folder_walk import walk
from liverseg_tf.ct.nifti import nifti_stem

LITS_NAME = re.compile(r"(volume|segmentation)-(\d+)$", re.IGNORECASE)


def find_lits_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Find the volumes and the segmentations below a folder, each sorted by path.

    Identical copies with the same name count once: masks are often copied next to each part.
    """
    below = (root / name for root, folders, names in walk(folder) for name in (*folders, *names))
    found = sorted(path for path in below if LITS_NAME.match(nifti_stem(path) or ""))
    # Kaggle unpacks some files into folders with the name of the file: volume-3.nii/volume-3.nii
    folders = {path.parent for path in found}
    found = [path for path in found if path not in folders]
    volumes = [path for path in found if path.name.lower().startswith("volume")]
    masks = [path for path in found if path not in volumes]
    return list(_without_copies(volumes)), list(_without_copies(masks))


def _without_copies(paths: Iterable[Path]) -> Iterator[Path]:
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        others = by_name.setdefault(path.name, [])
        if not any(_have_same_bytes(path, other) for other in others):
            others.append(path)
            yield path


def _have_same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:  # reading the case reports that the file cannot be read
        return False
