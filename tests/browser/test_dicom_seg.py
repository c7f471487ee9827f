"""DICOM-SEG files of the page, compared with those of the command line."""

import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from liverseg_tf.ct.dicom.series import find_series, read_series
from liverseg_tf.ct.regions import Regions
from liverseg_tf.ct.volume import Volume
from liverseg_tf.model.identity import ModelIdentity
from liverseg_tf.model.postprocessing import PostProcessing
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.predict.outputs.dicom_header import DicomHeader
from liverseg_tf.predict.outputs.dicom_seg import write_seg
from liverseg_tf.serve.export.web.write_page import PageModel
from liverseg_tf.tiles.spec import TileSpec

hd = pytest.importorskip("highdicom")

REGIONS = Regions({"liver": (1, 2), "left kidney": (3,), "tumour": (2,), "Gewebe ü": (4,)})
MODEL = PageModel(
    "Modell ß", 2, NetworkSpec(TileSpec(), REGIONS, 1), PostProcessing(), fingerprint="ab12"
)
NOTES = ("A note with an ü and a \\.", "Another one.")
WRITE = """
const { readInput } = await load("predict/read_input");
const { encodeSegmentation } = await load("predict/outputs/dicom_seg");
const fs = await import("node:fs");
const results = [];
for (const { folder, labels, out } of input.cases) {
  const files = fs.readdirSync(folder).map((path) => ({ path, size: 1,
    load: async () => new Uint8Array(fs.readFileSync(`${folder}/${path}`)) }));
  try {
    const image = await readInput(files);
    fs.writeFileSync(out, encodeSegmentation(labels, image, input.record, input.notes));
    results.push("");
  } catch (error) {
    results.push(`${error.name}: ${error.message}`);
  }
}
return results;
"""
# what differs in any two files, and the library that writes the file of the command line
OWN = (
    *("InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"),
    *("ContributingEquipmentSequence", "ContentCreatorName", "SOPInstanceUID"),
    *("SeriesInstanceUID", "DimensionOrganizationSequence", "PixelData"),
)


def _labels(image):
    labels = np.zeros(image.array.shape, np.uint8)
    labels[1:4] = np.random.default_rng(1).integers(0, 4, labels[1:4].shape)
    labels[2][labels[2] == 2] = 0
    return labels


def _write(node, tmp_path, folders, labels_of=_labels):
    cases, images = [], []
    for folder in folders:
        (series,) = find_series(folder)
        image = read_series(series)
        images.append((series, image.with_array(labels_of(image))))
        out = tmp_path / f"{folder.name}.seg.dcm"
        cases.append({"folder": str(folder), "labels": images[-1][1].array, "out": str(out)})
    results = node(WRITE, cases=cases, record=MODEL.to_json(), notes=list(NOTES))
    files = [tmp_path / f"{folder.name}.seg.dcm" for folder in folders]
    return results, files, images


def _expected(tmp_path, series, labels):
    header = DicomHeader(ModelIdentity(MODEL.name, str(MODEL.version), MODEL.fingerprint))
    write_seg(tmp_path / "python.dcm", series, labels, REGIONS, NOTES, header)
    return pydicom.dcmread(tmp_path / "python.dcm")


def _as_json(dataset):
    """The content of a data set with decimal numbers as numbers, without what always differs."""
    dataset = pydicom.Dataset({element.tag: element for element in dataset})
    for keyword in OWN:
        dataset.pop(keyword, None)
    for item in dataset.DimensionIndexSequence:
        del item.DimensionOrganizationUID
    text = json.dumps(dataset.to_json_dict(), sort_keys=True)
    return json.loads(text, parse_float=lambda number: pytest.approx(float(number), rel=1e-9))


def _check_standard(path):
    if shutil.which("dciodvfy") is None:
        return
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60)
    assert not [line for line in done.stderr.splitlines() if line.startswith("Error")], done.stderr


def test_the_file_is_that_of_the_command_line(node, make_volumes, write_series, tmp_path):
    image = make_volumes(0, (6, 9, 7))[0]

    def clean(dataset, z):
        dataset.StudyDate, dataset.StudyTime, dataset.PatientBirthDate = (
            "20260229",
            "25",
            "19700101",
        )
        dataset.PatientSex, dataset.StudyDescription = "X", "A study"
        dataset.Manufacturer, dataset.SoftwareVersions = "Maker", ["1", "2"]

    def japanese(dataset, z):
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        dataset.PatientName = "Yamada^Tarou=山田^太郎"

    def lossy(dataset, z):
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 144", "Дина^Юля"
        dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", 7.5
        dataset.LossyImageCompressionMethod, dataset.Modality = "ISO_10918_1", "MR"
        dataset.PatientID, dataset.SeriesNumber = "", 2**31 - 2

    affine = np.diag([-0.7, 0.8, 2.5, 1.0])
    grids = {  # axial, rows upwards, and coronal
        clean: affine,
        japanese: affine * (1, -1, 1, 1),
        lossy: affine[:, [0, 2, 1, 3]],
    }
    folders = [
        write_series(tmp_path / edit.__name__, Volume(image.array, grid), edit)
        for edit, grid in grids.items()
    ]
    results, files, images = _write(node, tmp_path, folders)
    assert results == ["", "", ""]
    for path, (series, labels) in zip(files, images, strict=True):
        found, expected = pydicom.dcmread(path), _expected(tmp_path, series, labels)
        assert _as_json(found) == _as_json(expected), path
        np.testing.assert_array_equal(found.pixel_array, expected.pixel_array)
        equipment = found.ContributingEquipmentSequence
        kept = expected.ContributingEquipmentSequence
        assert [equipment[-1], *equipment[:-1]] == [kept[-1], *kept[:-2]]
        uids = [found.SOPInstanceUID, found.SeriesInstanceUID]
        uids.append(found.DimensionOrganizationSequence[0].DimensionOrganizationUID)
        assert len(set(uids)) == 3
        assert all(uid.is_valid for uid in uids)
        hd.seg.segread(path)
        _check_standard(path)


@pytest.mark.parametrize("kept", [(), (3,)])
def test_masks_with_empty_regions(kept, node, make_volumes, write_series, tmp_path):
    def labels_of(image):
        labels = _labels(image)
        return np.where(np.isin(labels, kept), labels, 0).astype(np.uint8)

    folder = write_series(tmp_path / "ct", make_volumes(1, (5, 8, 11))[0])
    (result,), (path,), ((series, labels),) = _write(node, tmp_path, [folder], labels_of)
    assert result == ""
    found, expected = pydicom.dcmread(path), _expected(tmp_path, series, labels)
    assert _as_json(found) == _as_json(expected)
    np.testing.assert_array_equal(found.pixel_array, expected.pixel_array)


def test_headers_to_which_no_result_can_refer(node, make_volumes, write_series, tmp_path):
    image = make_volumes(2, (4, 6, 5))[0]
    edits = {
        "FrameOfReferenceUID": lambda dataset, z: dataset.__delattr__("FrameOfReferenceUID"),
        "StudyInstanceUID": lambda dataset, z: setattr(dataset, "StudyInstanceUID", ""),
        "different SOPInstanceUIDs": lambda dataset, z: setattr(dataset, "SOPInstanceUID", "1.2"),
        "one FrameOfReferenceUID": lambda dataset, z: setattr(
            dataset, "FrameOfReferenceUID", f"1.2.{z + 1}"
        ),
        "SpecificCharacterSet": lambda dataset, z: setattr(
            dataset, "SpecificCharacterSet", "ISO_IR 999"
        ),
    }
    folders = [write_series(tmp_path / name, image, edit) for name, edit in edits.items()]
    results, files, _ = _write(node, tmp_path, folders)
    for keyword, result, path in zip(edits, results, files, strict=True):
        assert result.startswith("LiverSegError: Expected")
        assert keyword in result
        assert not path.exists()
