"""Read, check and segment every image below a folder, and compare with independent readers.

    python benchmarks/public_files.py FOLDER --run RUN --json files.json

FOLDER holds images from anywhere, for example the unpacked test data of other projects. Each NIfTI,
MetaImage and NRRD file is an input, and so is each DICOM series of a folder. An input is *right* if
its voxels and its geometry equal those of an independent reader (nibabel, pydicom, pynrrd,
SimpleITK) and `predict` wrote a mask on its grid, or *refused* if it was refused with a message of
one line. Everything else is a *fault*. All rules that a user may accept are accepted, so that as
many inputs as possible reach the network, whatever they show.
"""

import argparse
import csv
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from click.testing import CliRunner
from measure import print_hardware

from liverseg_tf.cli.main import liverseg
from liverseg_tf.ct.images import IMAGE_SUFFIXES, read_image
from liverseg_tf.errors import LiverSegError

SAMPLES = 2000  # voxels that are compared, besides the corners
TOLERANCE_MM = 0.1  # of a position: scanners round those of slices
RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder with images at any depth.")
    parser.add_argument("--run", type=Path, required=True, help="Trained run.")
    parser.add_argument("--generated", type=int, default=0, help="Number of phantoms to add.")
    parser.add_argument("--accept", action="append", default=[], help="Rule to accept.")
    parser.add_argument("--json", type=Path, help="Write the outcome of each input to this file.")
    options = parser.parse_args()
    print_hardware()
    with tempfile.TemporaryDirectory() as work:
        inputs = find_inputs(options.folder, Path(work) / "series")
        inputs |= generate(Path(work) / "generated", options.generated)
        outcomes = {name: compare_readers(path) for name, path in inputs.items()}
        accept = [word for rule in options.accept for word in ("--accept", rule)]
        for step in (check_all, predict_all):
            for name, fault in step(inputs, outcomes, Path(work), [options.run, *accept]).items():
                outcomes[name] = ("fault", f"{step.__name__}: {fault}")
    for name, (kind, text) in sorted(outcomes.items()):
        if kind == "fault":
            print(f"{name} ({inputs.get(name)}): {text}")
    counts = Counter(kind for kind, _ in outcomes.values())
    print(f"{len(inputs)} inputs: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
    if options.json:
        rows = {name: {"kind": kind, "text": text} for name, (kind, text) in outcomes.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def find_inputs(folder: Path, series_folder: Path) -> dict[str, Path]:
    """Find the inputs by name; the files of each DICOM series are linked into a folder."""
    inputs, series = {}, defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.stat().st_size == 0:
            continue
        if path.name.lower().endswith(IMAGE_SUFFIXES):
            inputs[f"file{len(inputs):04}"] = path
        elif path.suffix.lower() in (".dcm", ".ima", ".mr", ".ct"):
            series[path.parent, series_uid(path)].append(path)
    for index, files in enumerate(series.values()):
        target = series_folder / f"series{index:04}"
        target.mkdir(parents=True)
        for number, file in enumerate(files):
            shutil.copy(file, target / f"{number:04}.dcm")
        inputs[target.name] = target
    return inputs


def generate(folder: Path, count: int) -> dict[str, Path]:
    """Write CT phantoms in random formats, data types, orders and directions of the axes."""
    import SimpleITK as sitk

    folder.mkdir()
    rng = np.random.default_rng(0)
    inputs = {}
    for index in range(count):
        values = rng.normal(0, 20, rng.integers(9, 40, 3)) - 1000
        inside = tuple(slice(size // 5, size - size // 5) for size in values.shape)
        values[inside] += rng.normal(1060, 25, values[inside].shape)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        if rng.random() < 0.7:
            turn = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], (3, 1))
        spacing_mm = rng.uniform(0.6, 5, 3)
        path = folder / f"generated{index:04}{rng.choice(['.nii', '.nii.gz', '.mha', '.nrrd'])}"
        dtype = rng.choice([np.int16, np.int32, np.float32, np.float64])
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = turn * spacing_mm, rng.uniform(-300, 300, 3)
        if ".nii" in path.name:
            image = nib.Nifti1Image(values.astype(dtype), affine)
            image.header.set_xyzt_units(xyz=2)
            nib.save(image, path)
        else:
            image = sitk.GetImageFromArray(values.astype(dtype).T)
            image.SetSpacing(spacing_mm.tolist())
            image.SetDirection((RAS_OF_LPS[:3, :3] @ turn).ravel().tolist())
            image.SetOrigin((RAS_OF_LPS @ affine)[:3, 3].tolist())
            sitk.WriteImage(image, path, useCompression=bool(rng.random() < 0.5))
        inputs[path.name.split(".")[0]] = path
    return inputs


def series_uid(path: Path) -> str:
    """Series UID of a DICOM file, or its name if it cannot be read."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"])
        return str(header.get("SeriesInstanceUID", path.name))
    except Exception:  # damaged on purpose, in the test data of some projects
        return path.name


def compare_readers(path: Path) -> tuple[str, str]:
    """Read an input with the package and independently; return the outcome and a reason."""
    try:
        image = read_image(path)
    except LiverSegError as error:
        return ("refused", str(error)) if "\n" not in str(error) else ("fault", str(error))
    except Exception as error:
        return "fault", f"{type(error).__name__}: {error}"
    try:
        voxels, affine = read_independently(path)
    except Exception as error:
        return "fault", f"read, but the independent reader failed: {type(error).__name__}: {error}"
    return compare(image, voxels, affine)


def compare(image, voxels: np.ndarray, affine: np.ndarray) -> tuple[str, str]:
    """Compare a volume with voxels (i, j, k) and their affine, whatever the order of the axes."""
    ours = image.array.T
    if sorted(ours.shape) != sorted(voxels.shape):
        return "fault", f"shape {ours.shape} instead of {voxels.shape}"
    rng = np.random.default_rng(0)
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in ours.shape])).reshape(3, -1).T
    indices = np.concatenate([corners, rng.integers(0, ours.shape, (SAMPLES, 3))])
    there = nib.affines.apply_affine(np.linalg.inv(affine) @ image.affine, indices)
    nearest = np.rint(there).astype(int)
    apart = nib.affines.apply_affine(affine, nearest) - nib.affines.apply_affine(
        image.affine, indices
    )
    shift_mm = np.linalg.norm(apart, axis=1).max()
    if shift_mm > TOLERANCE_MM or (nearest < 0).any() or (nearest >= voxels.shape).any():
        return "fault", f"geometry differs by {shift_mm:.3g} mm"
    theirs = voxels[tuple(nearest.T)].astype(np.float64)
    if not np.allclose(ours[tuple(indices.T)], theirs, atol=0.01, equal_nan=True):
        return "fault", "voxels differ"
    return "right", ""


def read_independently(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read voxels (i, j, k) and an affine to RAS+ mm without this package."""
    name = path.name.lower()
    if path.is_dir():
        return stack_with_pydicom(path)
    if name.endswith((".nii", ".nii.gz")):
        image = nib.load(path)
        return squeeze(np.asanyarray(image.dataobj)), image.affine
    if name.endswith(".nrrd"):
        import nrrd

        voxels, header = nrrd.read(str(path))
        return voxels, affine_of_nrrd(header)
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image).T, affine_of_itk(image)


def squeeze(voxels: np.ndarray) -> np.ndarray:
    """Drop axes of length 1 after the third."""
    return voxels.reshape(voxels.shape[:3] + tuple(n for n in voxels.shape[3:] if n > 1))


def affine_of_nrrd(header: dict) -> np.ndarray:
    """Affine to RAS+ mm of a NRRD header with space directions."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], float).T
    affine[:3, 3] = header.get("space origin", (0, 0, 0))
    letters = header["space"].lower().replace("-", " ").split()
    short = {"ras": "ras", "lps": "lps", "las": "las"}
    code = short.get(letters[0]) or "".join(word[0] for word in letters)
    flips = [1.0 if code[0] == "r" else -1.0, 1.0 if code[1] == "a" else -1.0]
    return np.diag([*flips, 1.0 if code[2] == "s" else -1.0, 1.0]) @ affine


def affine_of_itk(image) -> np.ndarray:
    """Affine to RAS+ mm of a SimpleITK image."""
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (3, 3))
    affine[:3, :3] = direction * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return RAS_OF_LPS @ affine


def stack_with_pydicom(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Sort the slices of a series along their normal; multi-frame files are read as frames."""
    by_position = {}
    for path in sorted(folder.iterdir()):
        header = pydicom.dcmread(path, force=True)
        for position, cosines, spacing, pixels in frames(header):
            normal = np.cross(cosines[:3], cosines[3:])
            key = round(float(normal @ position), 3)
            by_position[key] = (position, cosines, spacing, pixels)
    slices = [by_position[key] for key in sorted(by_position)]
    position, cosines, spacing, _ = slices[0]
    step = (slices[-1][0] - position) / max(1, len(slices) - 1)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = cosines[:3] * spacing[1], cosines[3:] * spacing[0]
    affine[:3, 2], affine[:3, 3] = step, position
    if len(slices) == 1:
        affine[:3, 2] = np.cross(cosines[:3], cosines[3:])
    return np.stack([pixels.T for *_, pixels in slices], axis=2), RAS_OF_LPS @ affine


def frames(header):
    """Yield position, cosines, spacing and values of each image of a DICOM file."""
    pixels = header.pixel_array
    if "PerFrameFunctionalGroupsSequence" not in header:
        value = pixels * float(header.get("RescaleSlope", 1)) + float(
            header.get("RescaleIntercept", 0)
        )
        yield (
            np.array(header.ImagePositionPatient, float),
            np.array(header.ImageOrientationPatient, float),
            np.array(header.PixelSpacing, float),
            value,
        )
        return
    shared = header.SharedFunctionalGroupsSequence[0]
    for own, plane in zip(
        header.PerFrameFunctionalGroupsSequence, np.atleast_3d(pixels), strict=True
    ):

        def item(name, own=own):
            return (own if name in own else shared)[name][0]

        change = item("PixelValueTransformationSequence")
        yield (
            np.array(item("PlanePositionSequence").ImagePositionPatient, float),
            np.array(item("PlaneOrientationSequence").ImageOrientationPatient, float),
            np.array(item("PixelMeasuresSequence").PixelSpacing, float),
            plane * float(change.RescaleSlope) + float(change.RescaleIntercept),
        )


def check_all(inputs, outcomes, work: Path, options) -> dict[str, str]:
    """Run `check` over all inputs with empty masks; return its faults by name."""
    files, series = work / "files", work / "dicom"
    for folder in (files / "images", files / "masks", series / "masks"):
        folder.mkdir(parents=True)
    for name, path in inputs.items():
        root = series if path.is_dir() else files
        shape, affine = (4, 4, 4), np.eye(4)
        if outcomes[name][0] == "right":
            image = read_image(path)
            shape, affine = image.array.T.shape, image.affine
        empty = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
        nib.save(empty, root / "masks" / f"{name}.nii.gz")
        if path.is_dir():
            (series / name).symlink_to(path.absolute())
        else:
            suffix = next(end for end in IMAGE_SUFFIXES if path.name.lower().endswith(end))
            (files / "images" / f"{name}{suffix}").symlink_to(path.absolute())
    faults = {}
    for root in (files, series):
        report = work / f"{root.name}.json"
        done = CliRunner().invoke(liverseg, ["check", str(root), "--json", str(report)])
        if done.exit_code not in (0, 1) or "Unexpected" in done.output:
            faults[root.name] = f"exit {done.exit_code}: {done.output[-500:]}"
    return faults


def predict_all(inputs, outcomes, work: Path, options) -> dict[str, str]:
    """Run `predict` over all inputs at once; return its faults by name."""
    table, masks = work / "images.csv", work / "predicted"
    with open(table, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "name"])
        writer.writerows([str(path.absolute()), name] for name, path in inputs.items())
    run, *accept = options
    arguments = ["predict", str(table), "--model", str(run), "-o", str(masks), *accept]
    done = CliRunner().invoke(liverseg, arguments)
    faults = {}
    if done.exit_code not in (0, 1):
        faults["all"] = f"exit {done.exit_code}: {done.output[-500:]}"
    lines = done.output.splitlines()
    for name, path in inputs.items():
        mask = masks / f"{name}.nii.gz"
        told = [line for line in lines if name in line]
        if mask.is_file() and outcomes[name][0] == "right":
            written, image = nib.load(mask), read_image(path)
            if written.shape != image.array.T.shape or not np.allclose(
                written.affine, image.affine, atol=TOLERANCE_MM
            ):
                faults[name] = "the mask is not on the grid of the image"
        elif mask.is_file():
            faults[name] = "a mask of an image that the reader refused"
        elif not told:
            faults[name] = "neither a mask nor a message"
        elif outcomes[name][0] == "right":
            outcomes[name] = ("refused", told[0])
    return faults


if __name__ == "__main__":
    main()
