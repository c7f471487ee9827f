"""Reading of MetaImage and NRRD files with SimpleITK, which is an optional dependency."""

import re
from pathlib import Path

import numpy as np

from liverseg_tf.ct.rescale import rescale
from liverseg_tf.ct.volume import Volume, check_size
from liverseg_tf.errors import LiverSegError

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
_HEADER_BYTES = 1 << 16
_DATA_FILE = re.compile(rb"^(?:ElementDataFile *=|data ?file:)(.*)$", re.MULTILINE)
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


def read_itk(path: Path) -> Volume:
    """Read a MetaImage or NRRD file, in its own axis order.

    Returns:
        A volume without header, with a dtype as returned by `rescale`.

    Raises:
        LiverSegError: If SimpleITK is not installed, or if the file is missing, damaged, not 3D
            or not a scalar image.
    """
    try:
        import SimpleITK as sitk  # an extra
    except ImportError as error:
        raise LiverSegError(
            f"SimpleITK is needed to read {path}, and it is not installed: run "
            "pip install 'liverseg_tf[itk]'."
        ) from error
    if not Path(path).is_file():
        raise LiverSegError(f"Expected a file at {path}. Received no such file.")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        _check(reader, path)
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise LiverSegError(
            f"Expected a whole MetaImage or NRRD file at {path}. Received: {reason}"
        ) from error
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (3, 3))
    affine[:3, :3] = _LPS_TO_RAS @ direction * image.GetSpacing()
    affine[:3, 3] = _LPS_TO_RAS @ image.GetOrigin()
    try:
        return Volume(rescale(sitk.GetArrayFromImage(image)), affine)
    except LiverSegError as error:
        raise LiverSegError(f"{error} (file {path})") from error


def itk_files(path: Path) -> list[Path]:
    """List the header file and, if the header names one, the separate file with the voxels."""
    try:
        with open(path, "rb") as stream:
            match = _DATA_FILE.search(stream.read(_HEADER_BYTES))
        name = match[1].decode().strip() if match else "LOCAL"
    except (OSError, ValueError):
        return [Path(path)]
    voxels = Path(path).parent / name
    return [Path(path)] + [voxels] * (name.upper() != "LOCAL" and voxels.is_file())


def _check(reader, path: Path) -> None:
    size = reader.GetSize()
    if len(size) != 3:
        raise LiverSegError(f"Expected a 3D image in {path}. Received the shape {size}.")
    if reader.GetNumberOfComponents() != 1:
        raise LiverSegError(
            f"Expected one value per voxel in {path}. "
            f"Received {reader.GetNumberOfComponents()} (a colour or vector image)."
        )
    check_size(size, 2, path)
