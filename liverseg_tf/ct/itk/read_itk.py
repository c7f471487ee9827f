"""Reading of MetaImage and NRRD files, the formats of ITK."""

import os
from pathlib import Path

from liverseg_tf.ct.itk.itk_header import ItkHeader
from liverseg_tf.ct.itk.metaimage import read_metaimage_header
from liverseg_tf.ct.itk.nrrd import read_nrrd_header
from liverseg_tf.ct.itk.voxel_files import read_voxels
from liverseg_tf.ct.rescale import peak_bytes, rescale
from liverseg_tf.ct.size_limit import check_size
from liverseg_tf.ct.volume import Volume, volume_of_file
from liverseg_tf.errors import LiverSegError

METAIMAGE_SUFFIXES = (".mha", ".mhd")
ITK_SUFFIXES = (*METAIMAGE_SUFFIXES, ".nrrd", ".nhdr")


def read_itk(path: Path, any_spacing: bool = False) -> Volume:
    """Read a MetaImage or NRRD file, in its own axis order.

    Args:
        path: .mha, .mhd, .nrrd or .nhdr file. Files of voxels that it names must be in its folder.
        any_spacing: Whether implausible spacings are read, because they are corrected later.

    Returns:
        A volume without NIfTI header, with a dtype as returned by `rescale`.

    Raises:
        LiverSegError: If the file is missing, damaged, not 3D or not a scalar image, or if its
            spacing is not known or cannot be that of a patient.
    """
    path = Path(path)
    header = read_itk_header(path)
    check_size(header.voxels.shape, peak_bytes(header.voxels.dtype), path)
    try:
        raw, notes = read_voxels(header.voxels)
    except LiverSegError as error:
        if header.voxels.files == (path,):
            raise
        raise LiverSegError(f"{error} (named by the header {path})") from error
    return volume_of_file(
        path,
        any_spacing,
        rescale(raw),
        affine=header.affine,
        modality=header.modality,
        lacks_orientation=header.lacks_orientation,
        warnings=(*header.warnings, *notes),
    )


def read_itk_header(path: Path) -> ItkHeader:
    """Read the header of a MetaImage or NRRD file; see `read_itk`."""
    metaimage = Path(path).name.lower().endswith(METAIMAGE_SUFFIXES)
    return read_metaimage_header(path) if metaimage else read_nrrd_header(path)


def itk_files(path: Path) -> list[Path]:
    """List the header file and the separate files with the voxels, if the header names any."""
    path = Path(path)
    try:
        voxels = read_itk_header(path).voxels.files
    except LiverSegError:  # reading the image reports it
        return [path]
    return [path, *(file for file in voxels if file != path and os.path.isfile(file))]
