"""The cases: folds by patient, and data sets of other hospitals in the same range of HU."""

from pathlib import Path

import numpy as np

from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.dataset.cases import Case, find_cases
from liverseg_tf.dataset.split import SplitRule, split_for_fold

FOLDS = 5
SEED = 0


def divide(cases: list[Case], fold: int) -> tuple[list[Case], list[Case]]:
    """Return the training and the test cases of a fold, from 0; all contestants have the same."""
    names = [case.name for case in cases]
    split = split_for_fold(
        {"train": names, "val": [], "test": []},
        SplitRule(0, 0, SEED),
        fold + 1,
        FOLDS,
        {case.name: case.patient for case in cases if case.patient is not None},
    )
    by_name = {case.name: case for case in cases}
    return [by_name[name] for name in split["train"]], [by_name[name] for name in split["val"]]


def make_fold(folder: Path, data: Path, external: list[Path], fold: int) -> None:
    """Make `train` and `test` in a folder, with links in images/ and masks/ of each.

    Args:
        folder: Folder of the fold.
        data: Data set that is divided into folds.
        external: Data sets with the same names of files, all of whose cases are test cases.
        fold: Number of the fold, from 0.
    """
    train, test = divide(find_cases(data), fold)
    for other in external:
        test += find_cases(other)
    names = [case.name for case in (*train, *test)]
    if len(set(names)) < len(names):
        raise SystemExit("Expected cases of different names in --data and --external.")
    for side, cases in (("train", train), ("test", test)):
        for case in cases:
            for kind, path in (("images", case.image), ("masks", case.mask)):
                if not str(path).endswith(".nii.gz"):
                    raise SystemExit(f"Expected .nii.gz files, which every tool reads: {path}")
                link = folder / side / kind / f"{case.name}.nii.gz"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(Path(path).resolve())


def clip_cases(folder: Path, source: Path, limits: tuple[float, float]) -> None:
    """Write the cases of a data set with all HU clipped to a range, as images/ and masks/.

    The training data are clipped, so that images of other sources are made equal to them in this
    respect, for every contestant: a network must not see values that its training cannot contain.
    """
    for case in find_cases(source):
        image, mask = (folder / kind / f"{case.name}.nii.gz" for kind in ("images", "masks"))
        mask.parent.mkdir(parents=True, exist_ok=True)
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            volume = read_image(case.image)
            clipped = np.clip(volume.array, *limits).astype(volume.array.dtype)
            write_volume(image, volume.with_array(clipped))
        mask.unlink(missing_ok=True)
        mask.symlink_to(Path(case.mask).resolve())
