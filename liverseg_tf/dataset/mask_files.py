"""The masks of a data set: label maps, and files with named segments."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from liverseg_tf.ct.dicom.series import DicomSeries, contains_series
from liverseg_tf.ct.images import image_stem, is_unread_image
from liverseg_tf.ct.segments.read_segments import find_dicom_masks, is_segment_file, segment_stem


def find_mask_files(folder: Path) -> list[Path]:
    """Find the masks in a folder, hidden files (`._x`) excluded.

    Args:
        folder: Folder of masks; it may be missing.

    Returns:
        Sorted label maps of any format, DICOM-SEG, RTSTRUCT and .seg.nrrd files, folders with one
        of them, and folders of DICOM files. Files of formats that are not read are included, since
        reading them reports that.
    """
    if not Path(folder).is_dir():
        return []
    paths = [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")]
    return [path for path in paths if _is_mask(path)]


def prefer_label_maps(paths: Iterable[Path]) -> list[Path]:
    """Return masks without the files of named segments beside a label map of the same name.

    `liverseg predict --format nifti --format seg` writes one mask in both formats.

    Args:
        paths: Files of masks.
    """
    paths = list(paths)
    label_maps = {image_stem(path) for path in paths if segment_stem(path) is None}
    return [path for path in paths if segment_stem(path) not in label_maps - {None}]


def find_masks_by_series(
    folder: Path, images: Mapping[str, list[DicomSeries]]
) -> dict[str, list[Path]]:
    """Find the DICOM-SEG and RTSTRUCT files of a tree by the series to which they refer.

    Args:
        folder: Root of the tree.
        images: Series by case name.

    Returns:
        Paths by case name. Files that refer to none of the series are left out.
    """
    by_name: dict[str, list[Path]] = {}
    referring = find_dicom_masks(folder)
    for name, series in images.items():
        uids = {one.uid for one in series}
        if found := [path for path, named in referring.items() if named & uids]:
            by_name[name] = found
    return by_name


def _is_mask(path: Path) -> bool:
    if path.is_dir():
        return contains_series(path) or is_segment_file(path)
    # reading a .dcm file that is no mask reports that
    return bool(image_stem(path) or segment_stem(path)) or is_unread_image(path)
