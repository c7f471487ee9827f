"""Read damaged and odd NIfTI, NRRD and MetaImage files, and compare with independent readers.

    python benchmarks/fuzz_headers.py --nifti 2000 --itk 500 --seed 0 --json fuzz.json

Every file is small and made from a seed: valid but unusual headers, single fields with values
that are extreme or make no sense, flipped bytes, cut and padded files. A file that is read must
equal, in voxels and geometry, what nibabel, pynrrd or SimpleITK read; every other file must be
refused with a message of one line that names it. A file that the other reader refuses may be
read with a warning (bytes after the last voxel). Anything else is a *fault*: another result,
another exception, more than 10 seconds, or more than 200 MB of memory.
"""

import argparse
import bz2
import gzip
import json
import resource
import signal
import tempfile
import warnings
import zlib
from collections import Counter
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import SimpleITK as sitk
from measure import print_hardware

from liverseg_tf.ct.images import read_image
from liverseg_tf.errors import LiverSegError

SECONDS = 10
MEGABYTES = 200
KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
NUMBERS = (0, 1, -1, 2, 3, 5, 7, 16, 64, 255, 348, 352, 512, 1000, 32767, -32768, 2**31 - 1)
FLOATS = (*NUMBERS, 0.5, 1e-3, 1e-8, -0.7, 1e9, 1e30, np.inf, -np.inf, np.nan)
TEXTS = (
    *("", "0", "1", "-1", "3", "nan", "inf", "none", "1e999", "0.7", "9" * 30, "x", "\0", "é"),
    *("%s%s%n", "../a.raw", "/dev/zero", "LIST", "LOCAL", "True", "False", "true", "gzip", "raw"),
    *("1 2", "1 2 3", "0 0 0", "5 6 7", "7 6 5", "5 6 7 1", "1 0 0 0 1 0 0 0 1", "a" * 100),
    *("(1,0,0) (0,1,0) (0,0,1)", "(1,0,0) (0,1,0) none", "(0,0,0)", '"cm" "cm" "cm"', "RAS", "LAS"),
    *("left-anterior-superior", "scanner-xyz", "MET_SHORT", "MET_DOUBLE", "short", "double", "big"),
)
RAS_OF_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
}
UNITS = {"mm": 1, "": 1, "cm": 10, "m": 1000, "um": 1e-3, "microns": 1e-3}
NIFTI_UNITS = {0: 1, 1: 1000, 2: 1, 3: 1e-3}


class TooSlowError(BaseException):
    """A file took too long to read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nifti", type=int, default=2000, help="Number of NIfTI files.")
    parser.add_argument("--itk", type=int, default=500, help="Number of NRRD and MetaImage files.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="Folder for the files that are faults.")
    parser.add_argument("--json", type=Path, help="File for the outcome of each file.")
    options = parser.parse_args()
    print_hardware()
    outcomes = {}
    with tempfile.TemporaryDirectory() as work:
        for group, makers, count in (
            ("nifti", (make_nifti,), options.nifti),
            ("itk", (make_nrrd, make_metaimage), options.itk),
        ):
            for index in range(count):
                folder = Path(work) / f"{group}_{index}"
                folder.mkdir()
                rng = np.random.default_rng((options.seed, group == "itk", index))
                path, compare = makers[index % len(makers)](folder, rng)
                kind, text = examine(path, compare)
                outcomes[f"{group}_{index}"] = {"file": path.name, "outcome": kind, "text": text}
                if kind == "fault":
                    print(f"{group}_{index} ({path.name}): {text}")
                    if options.keep:
                        folder.rename(options.keep / folder.name)
    for group in ("nifti", "itk"):
        own = [value for name, value in outcomes.items() if name.startswith(group)]
        counts = Counter(value["outcome"] for value in own)
        print(f"{group}: {len(own)} files: {', '.join(f'{n} {k}' for k, n in counts.items())}")
    print(f"peak memory: {peak_megabytes():.0f} MB; seed {options.seed}")
    if options.json:
        options.json.write_text(json.dumps(outcomes, indent=1) + "\n")


def examine(path: Path, compare) -> tuple[str, str]:
    """Read a file and return "equal", "refused" or "fault" with the reason."""
    before = peak_megabytes()
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # they would be printed
            volume = read_image(path)
    except LiverSegError as error:
        message = str(error)
        if "\n" in message or path.stem.split(".")[0] not in message:
            return "fault", f"message: {message!r}"
        volume = None
    except TooSlowError:
        return "fault", f"more than {SECONDS} s"
    except BaseException as error:
        return "fault", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    if peak_megabytes() - before > MEGABYTES:
        return "fault", f"{peak_megabytes() - before:.0f} MB more memory"
    if volume is None:
        return "refused", message
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array, affine = compare(path)
    except Exception as error:
        text = f"read, but the other reader says {type(error).__name__}: {error}"
        return ("warned" if volume.warnings else "fault"), text
    return _difference(volume, array, affine)


def _difference(volume, array: np.ndarray, affine: np.ndarray) -> tuple[str, str]:
    if volume.array.shape != array.shape:
        return "fault", f"shape {volume.array.shape}, other reader {array.shape}"
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32, values are infinite
        ours, theirs = volume.array.astype(np.float32), array.astype(np.float32)
    if not np.allclose(ours, theirs, rtol=1e-5, atol=1e-3, equal_nan=True):
        return "fault", f"voxels differ: {ours.ravel()[:3]} and {theirs.ravel()[:3]}"
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(array.shape[::-1]) - 1)
    apart = nib.affines.apply_affine(volume.affine, corners) - nib.affines.apply_affine(
        affine, corners
    )
    scale = max(1, float(np.abs(affine).max()))
    if not np.abs(apart).max() <= 1e-4 * scale:
        return "fault", f"affines differ: {volume.affine.tolist()} and {affine.tolist()}"
    return "equal", "; ".join(volume.warnings)


# --- NIfTI -----------------------------------------------------------------------------------


def make_nifti(folder: Path, rng: np.random.Generator):
    """Write a NIfTI file with an odd or damaged header."""
    shape = tuple(int(n) for n in rng.integers(2, 9, 3))
    if rng.random() < 0.1:
        shape += (int(rng.integers(1, 3)),)
    kind = nib.Nifti2Image if rng.random() < 0.2 else nib.Nifti1Image
    array = _voxels(rng, shape, rng.choice(KINDS))
    header = kind.header_class(endianness=rng.choice(["<", ">"]))
    header.set_data_dtype(array.dtype)
    image = kind(array, None, header, dtype=array.dtype)
    affine = _affine(rng)
    codes = rng.integers(0, 5, 2)
    image.set_qform(affine, int(codes[0]))
    image.set_sform(affine, int(codes[1]))
    image.header["xyzt_units"] = rng.choice([0, 2, 2, 2, 10, 1, 3])
    if rng.random() < 0.2:
        text = rng.bytes(int(rng.integers(0, 200)))
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", text))
    content = bytearray(image.to_bytes())
    fields = image.header.template_dtype.newbyteorder(image.header.endianness).fields
    for _ in range(rng.integers(0, 3)):
        content = _damage_nifti(content, fields, image.header.sizeof_hdr, rng)
    if rng.random() < 0.3:
        path, content = folder / "fuzz.nii.gz", bytearray(gzip.compress(content, 1))
        if rng.random() < 0.3:
            content = _damage_bytes(content, rng, len(content))
    else:
        path = folder / "fuzz.nii"
    path.write_bytes(content)
    return path, read_with_nibabel


def _damage_nifti(content: bytearray, fields, header_size: int, rng) -> bytearray:
    choice = rng.random()
    if choice < 0.7:
        name = rng.choice(list(fields))
        dtype, offset = fields[name][:2]
        base = dtype.base
        at = offset + base.itemsize * int(rng.integers(dtype.itemsize // base.itemsize))
        if base.kind == "S":
            value = rng.bytes(base.itemsize)
        else:
            number = rng.choice(FLOATS if base.kind == "f" else NUMBERS)
            if base.kind != "f":
                info = np.iinfo(base)
                number = int(np.clip(int(number), info.min, info.max))
            value = np.array(number, base).tobytes()
        content[at : at + len(value)] = value
        return content
    return _damage_bytes(content, rng, header_size + 4 if choice < 0.9 else len(content))


def read_with_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (z, row, col) and affine in mm, and a second look at what must have been refused."""
    nib.imageglobals.logger.disabled = True
    image = nib.load(path)
    header = image.header
    array = np.asanyarray(image.dataobj)
    if array.ndim > 3 and set(array.shape[3:]) != {1}:
        raise ValueError(f"an image of {array.shape}")
    array = array.reshape(array.shape[:3])
    affine = np.array(image.affine)
    if header["sform_code"] > 0 and header["qform_code"] > 0:
        corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(array.shape) - 1)
        apart = nib.affines.apply_affine(header.get_sform() - header.get_qform(), corners)
        spacing = nib.affines.voxel_sizes(affine).min()
        if not np.linalg.norm(apart, axis=1).max() <= 0.5 * spacing * 1.001:
            raise ValueError("sform and qform that disagree")
    affine[:3] *= NIFTI_UNITS[int(header["xyzt_units"]) % 8]
    return array.T, affine


# --- NRRD and MetaImage ----------------------------------------------------------------------


def make_nrrd(folder: Path, rng: np.random.Generator):
    """Write an NRRD file with an odd or damaged header."""
    shape = tuple(int(n) for n in rng.integers(2, 9, 3))
    array = _voxels(rng, shape, rng.choice(KINDS))
    order = rng.choice(["little", "big"])
    affine = _affine(rng)
    unit = rng.choice(["mm", "mm", "cm", "um", "microns"])
    encoding = rng.choice(["raw", "raw", "gzip", "gz", "bzip2"])
    directions = affine[:3, :3].T / UNITS[unit]
    origin = affine[:3, 3] / UNITS[unit]
    names = {"i1": "int8", "u1": "uint8", "f4": "float", "f8": "double"}
    kind = array.dtype.str[1:]
    fields = {
        "type": names.get(kind, f"{'u' if kind[0] == 'u' else ''}int{8 * int(kind[1])}"),
        "dimension": "3",
        "space": rng.choice([*SPACES, "Left-Posterior-Superior"]),
        "sizes": " ".join(map(str, shape)),
        "space directions": " ".join(_vector(row) for row in directions),
        "kinds": "domain domain domain",
        "endian": order,
        "encoding": encoding,
        "space origin": _vector(origin),
    }
    if unit != "mm":
        fields["space units"] = " ".join([f'"{unit}"'] * 3)
    if rng.random() < 0.1:
        for name in ("space", "space directions", "space origin", "space units"):
            fields.pop(name, None)
        fields["spacings"] = " ".join(repr(float(n)) for n in rng.uniform(0.5, 5, 3))
    _damage_fields(fields, rng)
    data = array.T.astype(array.dtype.newbyteorder("<" if order == "little" else ">")).tobytes()
    data = {"raw": bytes, "bzip2": bz2.compress}.get(encoding, gzip.compress)(data)
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items())
    head = f"NRRD000{rng.integers(1, 6)}\n# made from a seed\n{lines}".encode()
    if rng.random() < 0.2:
        path = folder / "fuzz.nhdr"
        (folder / "fuzz.data").write_bytes(data)
        head += b"data file: fuzz.data\n"
        data = b""
    else:
        path = folder / "fuzz.nrrd"
    path.write_bytes(_damage_file(head, b"\n" + data, rng))
    return path, read_with_pynrrd


def read_with_pynrrd(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (z, row, col), and the affine in mm from the fields."""
    array, header = nrrd.read(str(path), index_order="C")
    if array.ndim > 3:
        array = array.reshape([n for n in array.shape if n > 1])
    affine = np.eye(4)
    space = header.get("space", "lps").lower().removesuffix("-time")
    signs = np.array(SPACES.get(space, (-1, -1, 1)))
    units = header.get("space units", header.get("units", ["mm"] * 3))
    scale = np.array([UNITS[unit.lower()] for unit in units][:3], float)
    if "space directions" in header:
        affine[:3, :3] = signs[:, None] * scale[:, None] * np.array(header["space directions"]).T
    else:
        affine[:3, :3] = np.diag(signs * np.array(header["spacings"], float) * scale)
    affine[:3, 3] = signs * scale * np.array(header.get("space origin", np.zeros(3)))
    return array, affine


def make_metaimage(folder: Path, rng: np.random.Generator):
    """Write a MetaImage file with an odd or damaged header."""
    shape = tuple(int(n) for n in rng.integers(2, 9, 3))
    array = _voxels(rng, shape, rng.choice(KINDS))
    affine = _affine(rng)
    spacing = nib.affines.voxel_sizes(affine)
    kinds = ("CHAR", "UCHAR", "SHORT", "USHORT", "INT", "UINT", "LONG_LONG", "ULONG_LONG")
    big = bool(rng.random() < 0.3)
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": str(big),
        "CompressedData": "False",
        "TransformMatrix": " ".join(repr(float(n)) for n in (affine[:3, :3] / spacing).T.ravel()),
        "Offset": " ".join(repr(float(n)) for n in affine[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(repr(float(n)) for n in spacing),
        "DimSize": " ".join(map(str, shape)),
        "ElementType": "MET_" + (*kinds, "FLOAT", "DOUBLE")[KINDS.index(array.dtype.str[1:])],
    }
    data = array.T.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
    path, name, files = folder / "fuzz.mha", "LOCAL", {}
    choice = rng.random()
    if choice < 0.4:
        data = zlib.compress(data)
        fields |= {"CompressedData": "True", "CompressedDataSize": str(len(data))}
    if choice > 0.6 or 0.3 < choice < 0.4:
        path, name, files = folder / "fuzz.mhd", "fuzz.raw", {"fuzz.raw": data}
        if choice > 0.8:
            size = len(data) // shape[2]
            files = {f"fuzz_{k}.raw": data[k * size : (k + 1) * size] for k in range(shape[2])}
            name = "LIST"
        if rng.random() < 0.2:
            files.pop(rng.choice(list(files)))
        for file, part in files.items():
            (folder / file).write_bytes(part[:-1] if rng.random() < 0.1 else part)
        data = "".join(f"{file}\n" for file in files).encode() if name == "LIST" else b""
    _damage_fields(fields, rng)
    fields["ElementDataFile"] = name if rng.random() < 0.95 else rng.choice(TEXTS)
    head = "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
    path.write_bytes(_damage_file(head, data, rng))
    return path, read_with_simpleitk


def read_with_simpleitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (z, row, col) and the affine in mm."""
    content = path.read_bytes()
    if b"CompressedData = True" in content and b"CompressedDataSize = " not in content:
        path = path.with_name(f"raw_{path.name}")  # SimpleITK cannot decompress such files
        head, _, data = content.partition(b"ElementDataFile = LOCAL\n")
        head = head.replace(b"CompressedData = True", b"CompressedData = False")
        head = head.replace(b"ElementDataFile = fuzz.raw\n", b"")
        data = zlib.decompress(data or (path.parent / "fuzz.raw").read_bytes())
        path.write_bytes(head + b"ElementDataFile = LOCAL\n" + data)
    image = sitk.ReadImage(str(path))
    if image.GetDimension() > 3:
        size = [*image.GetSize()[:3], *[0] * (image.GetDimension() - 3)]
        image = sitk.Extract(image, size)
    affine = np.eye(4)
    directions = np.reshape(image.GetDirection(), (3, 3))
    affine[:3, :3] = directions * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), RAS_OF_LPS @ affine


# --- damage ----------------------------------------------------------------------------------


def _voxels(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    dtype = np.dtype(str(kind))
    if dtype.kind == "f":
        return rng.normal(0, 500, shape).astype(dtype)
    low, high = (-100, 100) if dtype == np.int8 else (0, 200)
    return rng.integers(low, high, shape).astype(dtype)


def _affine(rng: np.random.Generator) -> np.ndarray:
    """A grid with random spacing, position, and axis order, of which a half is oblique."""
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if rng.random() < 0.5:
        axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)
    return nib.affines.from_matvec(axes * rng.uniform(0.3, 6, 3), rng.uniform(-300, 300, 3))


def _vector(values) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _damage_fields(fields: dict[str, str], rng: np.random.Generator) -> None:
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        name = rng.choice(list(fields))
        choice = rng.random()
        if choice < 0.2:
            fields.pop(name)
        elif choice < 0.6:
            fields[name] = rng.choice(TEXTS)
        else:
            words = fields[name].split()
            if words:
                words[rng.integers(len(words))] = rng.choice(TEXTS)
            fields[name] = " ".join(words)


def _damage_file(head: bytes, data: bytes, rng: np.random.Generator) -> bytes:
    if rng.random() < 0.2:
        head = bytes(_damage_bytes(bytearray(head), rng, len(head)))
    if data and rng.random() < 0.2:
        data = bytes(_damage_bytes(bytearray(data), rng, len(data)))
    return head + data


def _damage_bytes(content: bytearray, rng: np.random.Generator, end: int) -> bytearray:
    choice = rng.random()
    if choice < 0.6:
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(min(end, len(content)))] = rng.integers(256)
    elif choice < 0.8:
        del content[rng.integers(len(content)) :]
    else:
        content += rng.bytes(int(rng.integers(1, 2000)))
    return content


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _stop(signum, frame):
    raise TooSlowError


if __name__ == "__main__":
    main()
