"""DICOM series with random and damaged headers, compared with independent readers.

Each series is valid, unusual or damaged. Reading it must give the voxels and the geometry that
pydicom (and GDCM, where it is installed) and a few lines of arithmetic give, or an error of one
line that names the series. Other exceptions, time limits and memory limits are failures.
"""

import argparse
import io
import json
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid as uids
from pydicom.dataset import Dataset, FileMetaDataset

from liverseg_tf.ct.images import read_image
from liverseg_tf.errors import LiverSegError

SECONDS = 20
MEMORY_BYTES = 4 * 2**30
NATIVE = [
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
    uids.DeflatedExplicitVRLittleEndian,
]
JPEG = ["JPEGLosslessProcess14_1", "JPEG2000Lossless", "JPEGLSLossless"]
TAGS = [
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "Modality"),
    *("ImageOrientationPatient", "SamplesPerPixel", "PhotometricInterpretation", "PixelData"),
    *("SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID", "ImageType", "SliceThickness"),
]


def write_series(folder, rng):
    """Write a random series of 1 to 6 slices, and return its number of files."""
    depth, rows, columns = rng.randint(1, 6), rng.randint(1, 20), rng.randint(1, 20)
    bits = rng.choice([16, 16, 16, 8, 32])
    stored = bits if rng.random() < 0.6 else rng.randint(max(bits // 2, 7), bits)
    signed = rng.random() < 0.5
    axes = np.linalg.qr(np.random.default_rng(rng.getrandbits(32)).normal(size=(3, 3)))[0]
    axes = np.eye(3) if rng.random() < 0.5 else axes
    spacing = [round(rng.uniform(0.3, 3), 4) for _ in range(3)]
    series, modality = new_uid(rng), rng.choice(["CT", "CT", "CT", "MR"])
    padding = rng.choice([None, None, (-2000,), (63536,), (0,), (63000, 64000), (-3000, -2000)])
    padding = padding if bits == 16 else None
    low, high = (
        (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    )
    low, high = max(low, -2000), min(high, 4000)
    syntax = rng.choice([*NATIVE, *NATIVE, *([uids.RLELossless] if bits < 32 else [])])
    for z in range(depth):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
        dataset.SOPClassUID = uids.CTImageStorage if modality == "CT" else uids.MRImageStorage
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = new_uid(rng), series
        dataset.Modality, dataset.PatientID, dataset.ImageType = (
            modality,
            "p",
            ["ORIGINAL", "PRIMARY"],
        )
        dataset.InstanceNumber, dataset.SliceThickness = rng.randint(1, 999), spacing[2]
        place = axes[:, 2] * spacing[2] * z + 10
        dataset.ImagePositionPatient = [f"{mm:.6f}"[:16] for mm in place]
        dataset.ImageOrientationPatient = [f"{one:.8f}"[:16] for one in axes[:, :2].T.ravel()]
        dataset.PixelSpacing = [spacing[1], spacing[0]]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
        dataset.PhotometricInterpretation = rng.choice(["MONOCHROME2"] * 5 + ["MONOCHROME1"])
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored, stored - 1
        dataset.PixelRepresentation = int(signed)
        dataset.RescaleSlope = rng.choice([1, 1, 1, 2, "0.5", "1.25", -1])
        dataset.RescaleIntercept = rng.choice([-1024, -1024, 0, "-1000.5", -8192])
        values = np.random.default_rng(rng.getrandbits(32)).integers(low, high + 1, (rows, columns))
        if padding:
            values[np.random.default_rng(z).random(values.shape) < 0.2] = padding[0]
            keywords = ("PixelPaddingValue", "PixelPaddingRangeLimit")
            for keyword, value in zip(keywords, padding, strict=False):
                dataset.add_new(keyword, "SS" if value < 0 else "US", value)
        pixels = (values & ((1 << bits) - 1)).astype(f"<u{bits // 8}").tobytes()
        dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
        dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
        if syntax == uids.RLELossless:
            dataset.compress(syntax, encoding_plugin="pydicom", generate_instance_uid=False)
        elif syntax == uids.ExplicitVRBigEndian and bits > 8:
            big = np.frombuffer(pixels, f"<u{bits // 8}").astype(f">u{bits // 8}").tobytes()
            dataset.PixelData = big + b"\0" * (len(big) % 2)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(folder / f"{z:03}.dcm", enforce_file_format=True)
    # GDCM turns a rescaled MR into an enhanced one
    if syntax == uids.ExplicitVRLittleEndian and bits == 16 and modality == "CT":
        compress_apart(folder, rng.choice(JPEG))
    return depth


def new_uid(rng):
    return uids.generate_uid(entropy_srcs=[str(rng.random())])


def compress_apart(folder, kind):
    """Compress the files in a process of their own: GDCM's encoders may damage the memory."""
    done = Path(tempfile.mkdtemp(dir=folder.parent))
    process = multiprocessing.get_context("fork").Process(
        target=compress, args=(folder, done, kind)
    )
    process.start()
    process.join()
    if process.exitcode == 0 and len(list(done.iterdir())) == len(list(folder.iterdir())):
        for path in done.iterdir():
            path.replace(folder / path.name)
    shutil.rmtree(done)


def compress(folder, done, kind):
    try:
        import gdcm
    except ImportError:
        return
    for path in folder.iterdir():
        reader, change, writer = (
            gdcm.ImageReader(),
            gdcm.ImageChangeTransferSyntax(),
            gdcm.ImageWriter(),
        )
        reader.SetFileName(str(path))
        if not reader.Read():
            return
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
        change.SetInput(reader.GetImage())
        if not change.Change():
            return
        writer.SetFileName(str(done / path.name))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        writer.Write()


def damage(folder, rng):
    """Damage one file, or the headers of all files; return what was done."""
    files = sorted(folder.iterdir())
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    kind = rng.choice(
        ["none", "flip", "flip", "zero", "cut", "tag", "tag", "claim", "all", "attribute"]
    )
    if kind == "flip":
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == "zero":
        start = rng.randrange(len(content))
        content[start : start + rng.choice([4, 64, 4096])] = b"\0" * min(
            rng.choice([4, 64, 4096]), len(content) - start
        )
    elif kind == "cut":
        content = content[: rng.randrange(len(content))]
    elif kind == "claim":
        start = content.find(b"\x02\0\x10\0UI")
        length = int.from_bytes(content[start + 6 : start + 8], "little")
        other = rng.choice([*NATIVE, uids.RLELossless, uids.JPEGLosslessSV1]).encode()
        other += b"\0" * (len(other) % 2)
        content[start + 6 : start + 8 + length] = len(other).to_bytes(2, "little") + other
    elif kind in ("tag", "all", "attribute"):
        keyword = rng.choice(TAGS)
        value = rng.choice(["", None, 0, 1, 7, 12, -1, 65535, "1.5", [1, 2], "x", 1e9])
        for z, one in enumerate(files if kind != "tag" else [path]):
            if kind == "attribute":
                keyword, value = "AcquisitionNumber", z % 2
            edit_tag(one, keyword, value)
        return f"{kind} {keyword}={value}"
    if kind != "none":
        path.write_bytes(content)
    return kind


def edit_tag(path, keyword, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        try:
            if value is None:
                del dataset[keyword]
            else:
                setattr(dataset, keyword, value)
            dataset.save_as(path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
        except Exception:  # a value that cannot be written
            path.with_suffix(".new").unlink(missing_ok=True)


def expected_volume(folder):
    """Read a series with pydicom: voxels (z, row, col) in float64, positions, and axes in mm."""
    slices = {}
    for path in sorted(folder.iterdir()):
        # in memory, no read is larger than the file, whatever length is stated
        dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()), force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
        stored = dataset.pixel_array.astype(np.int64)
        check_with_gdcm(path, stored, dataset)
        slope = float(dataset.get("RescaleSlope", 1))
        intercept = float(dataset.get("RescaleIntercept", 0))
        units = stored * slope + intercept
        units = fill_padding(units, stored, dataset)
        place = np.array([float(mm) for mm in dataset.ImagePositionPatient])
        axes = np.array([float(one) for one in dataset.ImageOrientationPatient]).reshape(2, 3)
        steps = [float(mm) for mm in dataset.PixelSpacing][::-1]
        slices[path] = (units, place, axes, steps)
    _, _, axes, steps = next(iter(slices.values()))
    normal = np.cross(*axes)
    normal *= np.sign(normal[np.abs(normal).argmax()])
    ordered = sorted(slices.values(), key=lambda one: one[1] @ normal)
    return (
        np.stack([one[0] for one in ordered]),
        np.stack([one[1] for one in ordered]),
        axes * np.array(steps)[:, None],
    )


def fill_padding(units, stored, dataset):
    ends = [
        int(dataset[keyword].value)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if keyword in dataset
    ]
    if not ends:
        return units
    size = 1 << dataset.BitsAllocated
    signed = min(ends) < 0 or (dataset.PixelRepresentation == 1 and max(ends) < size // 2)
    if signed:
        ends = [(end + size // 2) % size - size // 2 for end in ends]
    unsigned = stored % size
    bits = (unsigned + size // 2) % size - size // 2 if signed else unsigned
    raw = raw_bits(dataset)
    padding = (bits >= min(ends)) & (bits <= max(ends))
    if raw is not None:
        raw = (raw + size // 2) % size - size // 2 if signed else raw
        padding |= (raw >= min(ends)) & (raw <= max(ends))
    if not padding.any():
        return units
    units = units.copy()
    if (dataset.get("Modality") or uids.UID(dataset.SOPClassUID).name[:2]) == "CT":
        if not ((units[padding] >= -4096) & (units[padding] <= -900)).all():
            units[padding] = -1024
    elif padding.all():
        units[padding] = 0
    else:
        above = (stored[padding].max() - stored[~padding].min()) * float(dataset.RescaleSlope) > 0
        units[padding] = units[~padding].min() if above else units[padding]
    return units


def raw_bits(dataset):
    """Return all bits of uncompressed or run-length encoded pixels, unsigned."""
    syntax = dataset.file_meta.TransferSyntaxUID
    raw = syntax == uids.RLELossless or not syntax.is_encapsulated
    if dataset.BitsStored == dataset.BitsAllocated or not raw:
        return None
    dataset.BitsStored = dataset.BitsAllocated
    return dataset.pixel_array.astype(np.int64) % (1 << dataset.BitsAllocated)


def check_with_gdcm(path, stored, dataset):
    """Compare with GDCM where it reads the file and has no bits to leave out."""
    try:
        import gdcm
    except ImportError:
        return
    # it swaps no bytes, inflates nothing, and ends the process for damaged run lengths
    left_out = (*NATIVE[2:], uids.RLELossless)
    syntax = dataset.file_meta.TransferSyntaxUID
    if dataset.BitsStored != dataset.BitsAllocated or syntax in left_out:
        return
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        return
    image = reader.GetImage()
    pixels = image.GetBuffer()
    if pixels is None:
        return
    pixels = pixels.encode("utf-8", "surrogateescape")
    theirs = np.frombuffer(pixels, stored_dtype(dataset))
    if theirs.size == stored.size and not np.array_equal(theirs.reshape(stored.shape), stored):
        raise AssertionError("GDCM and pydicom read different values")


def stored_dtype(dataset):
    return f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"


def examine(folder):
    """Read a series and compare it; return the outcome and an explanation."""
    warnings.simplefilter("ignore")
    try:
        volume = read_image(folder)
    except LiverSegError as error:
        text = str(error)
        if "\n" in text or str(folder) not in text:
            return "unclear error", text
        return "refused", text
    except MemoryError:
        return "out of memory", ""
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    try:
        voxels, places, axes = expected_volume(folder)
    except Exception as error:
        return "read by us only", f"{type(error).__name__}: {error}"
    if voxels.shape != volume.array.shape:
        return "wrong voxels", f"{volume.array.shape} instead of {voxels.shape}"
    if not np.allclose(volume.array, voxels, rtol=1e-5, atol=1e-3):
        return "wrong voxels", f"{np.count_nonzero(~np.isclose(volume.array, voxels))} differ"
    index = np.array([(0, 0, z, 1) for z in range(len(places))])
    ours = (index @ volume.affine.T)[:, :3] * (-1, -1, 1)
    in_plane = volume.affine[:3, :2].T * (-1, -1, 1)
    tolerance = 0.15 * np.linalg.norm(axes, axis=1).min()
    steps = np.abs(np.diff(places, axis=0)).max(initial=0)
    if np.abs(ours - places).max() > max(tolerance, 0.15 * steps):
        return "wrong geometry", f"{np.abs(ours - places).max()} mm"
    if np.abs(in_plane - axes).max() > 0.01 * np.linalg.norm(axes, axis=1).max():
        return "wrong geometry", "axes"
    return "equal", ""


class Worker:
    """A process of limited memory that examines series, and is replaced when it hangs or dies."""

    def __init__(self):
        self.start()

    def start(self):
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def examine(self, folder):
        self.pipe.send(folder)
        try:
            if self.pipe.poll(SECONDS):
                return self.pipe.recv()
            outcome = "time limit"
        except EOFError:
            outcome = "crash"
        self.stop()
        self.start()
        return outcome, ""

    def stop(self):
        self.process.kill()
        self.process.join()


def serve(pipe):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    while True:
        pipe.send(examine(pipe.recv()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of series")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the counts and the failures")
    parser.add_argument("--keep", type=Path, help="folder for the series that fail")
    options = parser.parse_args()
    outcomes, by_damage, failures, files = Counter(), {}, [], 0
    worker = Worker()
    for number in range(options.count):
        rng = random.Random(f"{options.seed}-{number}")
        folder = Path(tempfile.mkdtemp(prefix="fuzz-dicom-"))
        files += write_series(folder, rng)
        done = damage(folder, rng)
        outcome, text = worker.examine(folder)
        outcomes[outcome] += 1
        by_damage.setdefault(done.split()[0], Counter())[outcome] += 1
        if outcome not in ("equal", "refused"):
            failures.append({"number": number, "damage": done, "outcome": outcome, "text": text})
            print(f"{number}: {done}: {outcome}: {text}", file=sys.stderr)
            if options.keep:
                shutil.copytree(folder, options.keep / str(number), dirs_exist_ok=True)
        shutil.rmtree(folder)
    worker.stop()
    print(f"{options.count} series of {files} files, seed {options.seed}: {dict(outcomes)}")
    for done, counts in sorted(by_damage.items()):
        print(f"  {done}: {dict(counts)}")
    if options.json:
        result = {"seed": options.seed, "files": files, "outcomes": outcomes, "failures": failures}
        options.json.write_text(json.dumps(result | {"by_damage": by_damage}, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
