"""A study from Orthanc through DICOMweb, predicted, and its results back in Orthanc.

Compares the mask of the DICOM-SEG that Orthanc holds with that of `liverseg predict` on the
files, voxel by voxel, and checks every result with dciodvfy.
"""

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
from orthanc import Orthanc, find_orthanc, free_port

from liverseg_tf.ct.dicom.series import find_volume_series

FORMATS = ("nifti", "seg", "sc", "rtstruct")


def predict(source: str, model: Path, out: Path, *options: str) -> tuple[str, float]:
    """Run `liverseg predict`; return its output and its time in seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "liverseg_tf", "predict", source, "--model", str(model)]
    done = subprocess.run([*command, "--out", str(out), *options], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout, time.perf_counter() - start


def read_masks(seg: bytes, files: list[pydicom.Dataset]) -> np.ndarray:
    """Masks (z, row, col, segment) of a DICOM-SEG in the order of the source files."""
    found = hd.seg.Segmentation.from_dataset(pydicom.dcmread(io.BytesIO(seg)))
    uids = [file.SOPInstanceUID for file in files]
    return found.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)


def read_labels(folder: Path, file: pydicom.Dataset) -> np.ndarray:
    """Labels (z, row, col) of the only NIfTI mask, with rows and columns as a file stores them."""
    (mask,) = folder.glob("*.nii.gz")
    labels = np.asanyarray(nib.as_closest_canonical(nib.load(mask)).dataobj).T
    across, down = np.reshape(file.ImageOrientationPatient, (2, 3)).astype(float)
    return labels[:, :: 1 if down[1] < 0 else -1, :: 1 if across[0] < 0 else -1]


def count_invalid(files: list[bytes], folder: Path) -> str:
    """Number of files in which dciodvfy finds an error."""
    if shutil.which("dciodvfy") is None:
        return "not installed"
    invalid = 0
    for number, content in enumerate(files):
        path = folder / f"{number}.dcm"
        path.write_bytes(content)
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
        invalid += any(line.startswith("Error") for line in done.stderr.splitlines())
    return f"{invalid} of {len(files)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", type=Path, help="folder of a DICOM series")
    parser.add_argument("model", type=Path, help="run or exported model")
    parser.add_argument("--accept", nargs="*", default=[], help="rules of the check to accept")
    arguments = parser.parse_args()
    if find_orthanc() is None:
        raise SystemExit("Orthanc with its DICOMweb plug-in is not installed.")
    accepted = [f"--accept={rule}" for rule in arguments.accept]
    (series,) = find_volume_series(arguments.series)
    files = [pydicom.dcmread(path) for path in series.files]
    files.sort(key=lambda file: float(file.ImagePositionPatient[2]))
    study = files[0].StudyInstanceUID
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _, local_s = predict(str(arguments.series), arguments.model, work / "local", *accepted)
        orthanc = Orthanc(work / "orthanc", free_port())
        try:
            orthanc.push(list(series.files))
            address = f"dicomweb://127.0.0.1:{orthanc.http_port}/dicom-web/studies/{study}"
            options = [*accepted, "--send", *(f"--format={name}" for name in FORMATS)]
            first, first_s = predict(address, arguments.model, work / "out", *options)
            before = Counter(one["Modality"] for one in orthanc.instances("*"))
            again, _ = predict(address, arguments.model, work / "out2", *options)
            after = Counter(one["Modality"] for one in orthanc.instances("*"))
            results = {name: orthanc.fetch(study, name) for name in ("SEG", "OT", "RTSTRUCT")}
        finally:
            orthanc.stop()
        masks = read_masks(results["SEG"][0], files).astype(bool)
        own, local = (read_labels(work / name, files[0]) for name in ("out", "local"))
        # nested regions: label n belongs to the first n of them
        expected = np.stack([own > number for number in range(masks.shape[-1])], axis=-1)
        rows = {
            "images of the study": len(files),
            "voxels of each region": expected.sum(axis=(0, 1, 2)).tolist(),
            "voxels of the SEG in Orthanc that differ from the NIfTI mask": int(
                (masks != expected).sum()
            ),
            "voxels that differ from the mask of predict on files": int((own != local).sum()),
            "instances in Orthanc": dict(before),
            "the same after a second run": before == after,
            "results with an error of dciodvfy": count_invalid(
                [file for found in results.values() for file in found], work
            ),
            "seconds of predict on files": round(local_s, 1),
            "seconds of predict through DICOMweb": round(first_s, 1),
        }
        for name, value in rows.items():
            print(f"| {name} | {value} |")
        print(first.strip(), again.strip(), sep="\n")


if __name__ == "__main__":
    main()
