"""The DICOM node beside Orthanc: routing, equal masks, conformance, kills and other disturbances.

    python benchmarks/dicom_node.py --model MODEL --case SERIES

Each part runs `liverseg node` as a process of its own and an Orthanc on loopback. Parts that have
passed are kept in --results; the same command goes on where it was interrupted, and --seed repeats
the kills at other moments. --table only prints the table.
"""

import argparse
import copy
import io
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import nibabel as nib
import numpy as np
from contest.results import describe_hardware
from measure import print_hardware
from orthanc import Orthanc, free_port
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_context
from rows import is_of, read_rows, replace_row

from liverseg_tf.atomic import write_json
from liverseg_tf.ct.dicom.series import find_volume_series, read_series
from liverseg_tf.ct.images import read_image
from liverseg_tf.ct.orientation import to_canonical
from liverseg_tf.ct.volume import Volume

LIMIT_S = 600


class NodeProcess:
    """`liverseg node` as a process, which may be killed and started again."""

    def __init__(self, folder: Path, model: Path, port: int, orthanc_port: int, *options: str):
        self.port, self.log = port, folder / "node.log"
        self._command = [
            *(sys.executable, "-m", "liverseg_tf", "node", "--model", str(model)),
            *("--folder", str(folder / "node"), "--port", str(port), "--no-status"),
            *("--send", f"ORTHANC@127.0.0.1:{orthanc_port}", *options),
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen | None = None

    def start(self, wait: bool = True) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        if wait:
            wait_until(lambda: can_echo(self.port) or self.process.poll() is not None, "node")
            assert self.process.poll() is None, self.log.read_text()[-2000:]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(60)
            if self.process.poll() is None:
                self.kill()


def can_echo(port: int) -> bool:
    entity = AE(ae_title="CAMPAIGN")
    association = entity.associate(
        "127.0.0.1", port, [build_context("1.2.840.10008.1.1")], ae_title="LIVERSEG"
    )
    if not association.is_established:
        return False
    association.send_c_echo()
    association.release()
    return True


def send(port: int, datasets: list[Dataset]) -> list[int | None]:
    """Store instances at the node over one association; None where there is no answer."""
    entity = AE(ae_title="CAMPAIGN")
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    with suppress(Exception):
        association = entity.associate("127.0.0.1", port, [context], ae_title="LIVERSEG")
        if association.is_established:
            statuses: list[int | None] = []
            for dataset in datasets:
                status: int | None = None
                with suppress(Exception):
                    if association.is_established:
                        status = association.send_c_store(dataset).get("Status")
                statuses.append(status)
            if association.is_established:
                association.release()
            return statuses
    return [None] * len(datasets)


def send_until_stored(port: int, datasets: list[Dataset], pause_s: float = 0.0) -> int:
    """Store instances one by one, each again until it is stored; return the number of repeats."""
    repeats = 0
    for dataset in datasets:
        end = time.monotonic() + LIMIT_S
        while send(port, [dataset]) != [0x0000]:
            assert time.monotonic() < end, "an image is never stored"
            repeats += 1
            time.sleep(0.5)
        time.sleep(pause_s)
    return repeats


def wait_until(condition: Callable[[], object], what: str, seconds: float = LIMIT_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.3)


def make_study(path: Path, number: int) -> list[Dataset]:
    """Make a DICOM study of a phantom; as complete as a scanner's, so that it conforms."""
    image = nib.as_closest_canonical(nib.load(path))  # axial slices
    array = np.asanyarray(image.dataobj)
    axes = image.affine[:3, :3] * [[-1], [-1], [1]]
    spacing = np.linalg.norm(axes, axis=0)
    study, series, frame = (generate_uid(entropy_srcs=[path.name, str(number), w]) for w in "abc")
    datasets = []
    for k in range(array.shape[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
            CTImageStorage,
            ExplicitVRLittleEndian,
        )
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series, str(k)])
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = (
            CTImageStorage,
            meta.MediaStorageSOPInstanceUID,
        )
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = frame, ""
        dataset.PatientID, dataset.PatientName = f"phantom{number}", "Phantom^Synthetic"
        dataset.PatientBirthDate, dataset.PatientSex = "", "O"
        dataset.StudyID, dataset.StudyDate, dataset.StudyTime = str(number), "20200101", "120000"
        dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = "", 1, k + 1
        dataset.AcquisitionNumber, dataset.KVP, dataset.PatientPosition = 1, "120", "HFS"
        place = (image.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1]
        dataset.ImagePositionPatient = [f"{mm:.6g}" for mm in place]
        directions = (axes / spacing).T[:2].ravel()
        dataset.ImageOrientationPatient = [f"{one:.6g}" for one in directions]
        # rows of the file run along j, columns along i
        dataset.PixelSpacing = [f"{spacing[1]:.6g}", f"{spacing[0]:.6g}"]
        dataset.SliceThickness = f"{spacing[2]:.6g}"
        dataset.Rows, dataset.Columns = array.shape[1], array.shape[0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
        pixels = np.rint(array[:, :, k].T.astype(float)) + 1024
        dataset.PixelData = np.clip(pixels, 0, 65535).astype("<u2").tobytes()
        datasets.append(dataset)
    return datasets


def enlarge(image: Dataset, factor: int) -> Dataset:
    """Return an image with this many times as many rows and columns."""
    large = copy.deepcopy(image)
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    large.Rows, large.Columns = image.Rows * factor, image.Columns * factor
    large.PixelSpacing = [f"{float(mm) / factor:.6g}" for mm in image.PixelSpacing]
    large.PixelData = pixels.repeat(factor, axis=0).repeat(factor, axis=1).tobytes()
    return large


def segs(orthanc: Orthanc) -> Counter:
    """Return the number of SEG objects of each study."""
    return Counter(item["StudyInstanceUID"] for item in orthanc.instances("SEG"))


def masks_of(seg: Dataset, image: Volume, folder: Path) -> np.ndarray:
    """Return the segments on the grid of a volume, (segment, z, row, col) bool."""
    headers = [dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]
    to_voxel = np.linalg.inv(image.affine)
    place = {}
    for header in headers:
        corner = np.array([*map(float, header.ImagePositionPatient), 1]) * (-1, -1, 1, 1)
        place[header.SOPInstanceUID] = round(float((to_voxel @ corner)[2]))
    masks = np.zeros((len(seg.SegmentSequence), *image.array.shape), bool)
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    for plane, frame in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        # an object of one segment names it once
        place_of_segment = frame if "SegmentIdentificationSequence" in frame else shared
        identification = place_of_segment.SegmentIdentificationSequence[0]
        number = identification.ReferencedSegmentNumber
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        masks[number - 1, place[source.ReferencedSOPInstanceUID]] = plane
    return masks


def conformance_errors(content: bytes, folder: Path) -> list[str]:
    """Return the errors that dciodvfy reports."""
    file = folder / "object.dcm"
    file.write_bytes(content)
    done = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


class Campaign:
    """The parts of the campaign; each returns what is printed in its line."""

    def __init__(self, arguments: argparse.Namespace, folder: Path):
        self.arguments, self.folder = arguments, folder
        command = [sys.executable, "-m", "liverseg_tf", "phantom", str(folder / "phantoms")]
        small = [*("--count", "5"), *("--shape", "14", "96", "96"), *("--spacing", "14", "4", "4")]
        subprocess.run([*command, *small], check=True, stdout=subprocess.DEVNULL)
        self.studies = [
            make_study(path, number)
            for number, path in enumerate(sorted(folder.rglob("imagesTr/*.nii.gz")))
        ]
        self.quiet = ("--quiet-seconds", str(arguments.quiet_seconds), "--free-megabytes", "0")

    @contextmanager
    def running(self, name: str, *options: str, routes: bool = False, start: bool = True):
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        port = free_port()
        orthanc = Orthanc(folder / "orthanc", port, routes)
        node = NodeProcess(
            folder, self.arguments.model, port, orthanc.dicom_port, *self.quiet, *options
        )
        try:
            if start:
                node.start()
            yield orthanc, node
        finally:
            node.stop()
            orthanc.stop()

    def route_case(self) -> str:
        """Orthanc routes a case to the node; SEG equals the NIfTI mask; all objects conform."""
        case = self.arguments.case
        masks = self.folder / "nifti"
        options = [*("--model", str(self.arguments.model)), "-o", str(masks)]
        subprocess.run(
            [sys.executable, "-m", "liverseg_tf", "predict", str(case), *options, "--force"],
            check=True,
        )
        kinds = [word for kind in ("seg", "sc", "rtstruct") for word in ("--result", kind)]
        with self.running("route", *kinds, routes=True) as (orthanc, _):
            files = sorted(case.iterdir())
            orthanc.push(files)
            study = dcmread(files[0], stop_before_pixels=True).StudyInstanceUID
            wait_until(
                lambda: all(orthanc.instances(one) for one in ("SEG", "RTSTRUCT", "OT")), "results"
            )
            fetched = {one: orthanc.fetch(study, one) for one in ("SEG", "OT", "RTSTRUCT")}
        seg = dcmread(io.BytesIO(fetched["SEG"][0]))
        (series,) = find_volume_series(case)
        image = read_series(series)
        found = masks_of(seg, image, case)
        truth = read_image(masks / f"{case.name}.nii.gz")
        # a NIfTI file made from DICOM has the grid of the series; compare in one canonical order
        expected = to_canonical(truth).array
        labels = np.zeros(image.array.shape, np.uint8)
        for number, mask in enumerate(found, 1):
            labels[mask] = number
        equal = np.array_equal(to_canonical(Volume(labels, image.affine)).array, expected)
        errors = [
            error
            for contents in fetched.values()
            for content in contents
            for error in conformance_errors(content, self.folder)
        ]
        assert equal, "the SEG is not the NIfTI mask"
        assert not errors, errors[:5]
        return (
            f"SEG = NIfTI mask ({int(labels.astype(bool).sum())} voxels), {len(fetched['OT'])} "
            f"captures, 1 RTSTRUCT; dciodvfy: {len(errors)} errors"
        )

    def kills(self) -> str:
        """The node is killed ten times while it receives and works on five studies."""
        random_moments = random.Random(self.arguments.seed)
        with self.running("kills") as (orthanc, node):
            queue = list(zip(*self.studies, strict=True))
            repeats: list[int] = []
            sender = threading.Thread(
                target=lambda: repeats.append(
                    send_until_stored(node.port, [one for images in queue for one in images], 0.2)
                )
            )
            sender.start()
            phases = Counter()
            for _ in range(self.arguments.kills):
                time.sleep(random_moments.uniform(0.0, self.arguments.kill_within))
                phases["receiving" if sender.is_alive() else "working"] += 1
                node.kill()
                node.start()
            sender.join()
            uids = {images[0].StudyInstanceUID for images in self.studies}
            wait_until(lambda: set(segs(orthanc)) >= uids, "one SEG of each study")
            time.sleep(3 * self.arguments.quiet_seconds)
            counted = segs(orthanc)
            assert dict(counted) == dict.fromkeys(uids, 1), counted
            described = [item["SeriesDescription"] for item in orthanc.instances("SEG")]
            assert not any("update" in text for text in described), described
        return f"{dict(phases)}, {repeats[0]} images sent again; 5 studies, one SEG each"

    def twice(self) -> str:
        """A study is sent twice, with a pause between."""
        with self.running("twice") as (orthanc, node):
            for _ in range(2):
                assert set(send(node.port, self.studies[0])) == {0}
                wait_until(lambda: segs(orthanc), "SEG")
                time.sleep(3 * self.arguments.quiet_seconds)
            wait_until(lambda: "sent again" in node.log.read_text(), "results sent again")
            time.sleep(self.arguments.quiet_seconds)
            assert sum(segs(orthanc).values()) == 1
        return "one SEG"

    def slice_by_slice(self) -> str:
        """One association for each slice, with pauses; two studies interleaved."""
        with self.running("slices") as (orthanc, node):
            for images in zip(*self.studies[:2], strict=True):
                send_until_stored(node.port, list(images), 0.2)
            wait_until(lambda: len(segs(orthanc)) == 2, "2 SEG")
            time.sleep(2 * self.arguments.quiet_seconds)
            assert set(segs(orthanc).values()) == {1}
            found = [item["SeriesDescription"] for item in orthanc.instances("SEG")]
            assert not any("update" in text for text in found), found
        return "2 studies, one SEG each"

    def late(self) -> str:
        """The upper half of a study comes after the result of the lower half was sent."""
        study = self.studies[0]
        with self.running("late") as (orthanc, node):
            send(node.port, study[: len(study) // 2])
            wait_until(lambda: segs(orthanc), "SEG")
            send(node.port, study[len(study) // 2 :])
            wait_until(lambda: sum(segs(orthanc).values()) == 2, "2 SEG")
            found = sorted(item["SeriesDescription"] for item in orthanc.instances("SEG"))
            assert sum("(update 2)" in text for text in found) == 1, found
        return "second SEG marked (update 2)"

    def unreachable(self) -> str:
        """The destination is away when the result is ready, and comes back."""
        with self.running("unreachable") as (orthanc, node):
            orthanc.stop()
            assert set(send(node.port, self.studies[0])) == {0}
            wait_until(lambda: "tried again" in node.log.read_text(), "a failed attempt")
            orthanc.start()
            wait_until(lambda: segs(orthanc), "SEG")
        return "one SEG after its return"

    def full_disk(self) -> str:
        """The disk of the node is full while a study arrives; then there is room again."""
        small = self.folder / "small"
        small.mkdir(exist_ok=True)
        study = [enlarge(one, 8) for one in self.studies[0]]  # much larger than the queue
        size = sum(len(one.PixelData) for one in study) // 2 + (1 << 20)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)]
        if subprocess.run(mount, capture_output=True).returncode:
            return "skipped: no tmpfs can be mounted here"
        try:
            with self.running("full", "--folder", str(small)) as (orthanc, node):
                statuses = send(node.port, study)
                refused = sum(status == 0xA700 for status in statuses)
                assert refused, statuses
                assert set(statuses) <= {0x0000, 0xA700}, statuses
                time.sleep(3 * self.arguments.quiet_seconds)
                assert not segs(orthanc), "half of the study was segmented"
                subprocess.run(["mount", "-o", f"remount,size={100 << 20}", str(small)], check=True)
                send_until_stored(node.port, study)
                wait_until(lambda: segs(orthanc), "SEG")
                assert sum(segs(orthanc).values()) == 1
                leftovers = list(small.rglob(".partial-*"))
                assert not leftovers, leftovers
        finally:
            subprocess.run(["umount", "-l", str(small)], check=True)
        return f"{refused} images refused (0xA700), then one SEG of the whole study"


PARTS = ("route_case", "twice", "slice_by_slice", "late", "unreachable", "full_disk", "kills")


def main() -> None:
    options = parse_arguments()
    print_hardware()
    failed = False if options.table else run(options)
    print(make_table(read_rows(options.results)))
    sys.exit(failed)


def run(options: argparse.Namespace) -> bool:
    """Run the parts that have not passed; return whether one has failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Interrupted. Repeat the command to go on."))
    missing = [part for part in options.part or PARTS if not has_passed(options, part)]
    failed = False
    with tempfile.TemporaryDirectory(prefix="dicom-node-", ignore_cleanup_errors=True) as folder:
        campaign = Campaign(options, Path(folder)) if missing else None
        for part in missing:
            started = time.monotonic()
            try:
                text, passed = getattr(campaign, part)(), True
            except AssertionError as error:
                text, passed, failed = str(error), False, True
            keep(options, part, passed, text, round(time.monotonic() - started))
            print(f"{part}: {'passed' if passed else 'FAILED'}: {text}", flush=True)
    return failed


def identity(options: argparse.Namespace, part: str) -> dict:
    """Return what a result is kept by; only the kills have random moments."""
    seed = options.seed if part == "kills" else None
    return {"part": part, "seed": seed, "model": options.model.name}


def has_passed(options: argparse.Namespace, part: str) -> bool:
    own = identity(options, part)
    return any(row["passed"] and is_of(row, own) for row in read_rows(options.results))


def keep(options: argparse.Namespace, part: str, passed: bool, text: str, seconds: float) -> None:
    """Add a result, which takes the place of a failure."""
    own = identity(options, part)
    row = {**own, "passed": passed, "result": text, "seconds": seconds}
    row["hardware"] = describe_hardware()
    write_json(options.results, {"rows": replace_row(read_rows(options.results), row, own)})


def make_table(rows: list[dict]) -> str:
    """Return a table in Markdown: a row for each part."""
    lines = ["| part | model | result | |", "|---|---|---|---|"]
    for row in rows:
        seed = "" if row["seed"] is None else f", seed {row['seed']}"
        mark = "" if row["passed"] else "FAILED: "
        lines.append(
            f"| {row['part']}{seed} | {row['model']} | {mark}{row['result']} | {row['seconds']} s |"
        )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="Run or export.")
    parser.add_argument("--case", type=Path, help="Folder of a DICOM series.")
    parser.add_argument("--part", choices=PARTS, action="append", default=[])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--kill-within", type=float, default=30.0, metavar="S")
    parser.add_argument("--quiet-seconds", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "dicom_node.json"
    )
    parser.add_argument("--table", action="store_true", help="Only print the table.")
    options = parser.parse_args()
    if not options.table and (options.model is None or options.case is None):
        parser.error("Expected --model and --case, or --table.")
    return options


if __name__ == "__main__":
    main()
