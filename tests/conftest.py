import json
import os
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume

REPOSITORY = Path(__file__).resolve().parents[1]
LAYOUTS = {  # image, mask
    "msd": ("imagesTr/case_{}.nii.gz", "labelsTr/case_{}.nii.gz"),
    "lits": ("volume_pt1/volume-{}.nii", "segmentations/segmentation-{}.nii"),
    "folder": ("images/case_{}.nii.gz", "masks/case_{}.nii.gz"),
}


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real CT."""
    folder = Path(os.environ.get("LIVERSEG_TEST_DATA", REPOSITORY / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder} (set LIVERSEG_TEST_DATA)")
    return folder


@pytest.fixture
def make_volumes():
    """A function: seed, shape (z, row, col) and affine to an int16 CT and its uint8 labels."""
    return _volumes


@pytest.fixture
def write_series():
    """A function: folder and volume to a DICOM series of it, one file a slice."""
    return _write_series


@pytest.fixture
def make_dataset():
    """A function: folder, layout and count to a data set on disk."""

    def make(folder, layout="folder", count=3, shape=(6, 20, 24)):
        for number in range(count):
            image, mask = (folder / name.format(number) for name in LAYOUTS[layout])
            volumes = _volumes(number, shape)
            for path, volume in zip((image, mask), volumes, strict=True):
                write_volume(path, volume)
        if layout == "msd":
            _write_description(folder, count)
        return folder

    return make


def _volumes(seed=0, shape=(6, 20, 24), affine=None):
    """A body of soft tissue in air, with a block of label 1 that holds a block of label 2."""
    affine = np.diag([-0.8, -0.8, 5.0, 1.0]) if affine is None else affine
    rng = np.random.default_rng(seed)
    array = np.full(shape, -1000, np.int16)
    body = tuple(slice(n // 8, n - n // 8) for n in shape)
    array[body] = rng.integers(-150, 200, array[body].shape)
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(n // 4, n - n // 4) for n in shape)] = 1
    labels[tuple(slice(n // 2, n // 2 + max(1, n // 6)) for n in shape)] = 2
    return Volume(array, affine), Volume(labels, affine)


def _write_series(folder, volume, edit=lambda dataset, z: None, name="{:04}.dcm", uid=None):
    """`edit` may change each data set before it is written; `name` takes the slice's index."""
    folder.mkdir(parents=True, exist_ok=True)
    spacing = volume.spacing_mm
    axes = np.diag([-1, -1, 1]) @ volume.affine[:3, :3] / spacing[::-1]  # LPS
    uid = uid or generate_uid()
    for z, plane in enumerate(volume.array):
        place = np.diag([-1, -1, 1, 1]) @ volume.affine @ [0, 0, z, 1]
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.ImageType, dataset.Modality = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", uid
        dataset.PatientID, dataset.PatientName = "p1", "A^B"
        dataset.SeriesNumber, dataset.SeriesDescription = 3, "Abdomen"
        dataset.InstanceNumber = z + 1
        dataset.SliceThickness = _decimal(spacing[0])
        dataset.ImagePositionPatient = [_decimal(mm) for mm in place[:3]]
        dataset.ImageOrientationPatient = [_decimal(one) for one in axes[:, :2].T.ravel()]
        dataset.PixelSpacing = [_decimal(mm) for mm in spacing[1:]]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = plane.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
        edit(dataset, z)
        dataset.save_as(folder / name.format(z), enforce_file_format=True)
    return folder


def _decimal(value):
    return DSfloat(float(value), auto_format=True)


def _write_description(folder, count):
    image, mask = LAYOUTS["msd"]
    training = [
        {"image": f"./{image.format(n)}", "label": f"./{mask.format(n)}"} for n in range(count)
    ]
    labels = {"0": "background", "1": "liver", "2": "cancer"}
    description = {"labels": labels, "training": training, "test": ["./imagesTs/case_9.nii.gz"]}
    (folder / "dataset.json").write_text(json.dumps(description))
