import json
import os
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import training_hook
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import HealthCheck, settings
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from liverseg_tf.ct.nifti import write_volume
from liverseg_tf.ct.volume import Volume

# the same examples in every run, so that a change is judged by what it changed; new ones are
# looked for by HYPOTHESIS_PROFILE=explore. A slow machine makes no test fail.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeat", derandomize=True, **UNTIMED)
settings.register_profile("explore", max_examples=1000, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))

pytest_plugins = ["trainings", "benchmark_modules"]  # in tests/support

REPOSITORY = Path(__file__).resolve().parents[1]
LAYOUTS = {  # image, mask
    "msd": ("imagesTr/case_{}.nii.gz", "labelsTr/case_{}.nii.gz"),
    "lits": ("volume_pt1/volume-{}.nii", "segmentations/segmentation-{}.nii"),
    "folder": ("images/case_{}.nii.gz", "masks/case_{}.nii.gz"),
}

TASKS = {  # of the Decathlon: names, modality, labels
    "liver": ("liver_{}", {"0": "CT"}, {"1": "liver", "2": "cancer"}),
    "spleen": ("spleen_{}", {"0": "CT"}, {"1": "spleen"}),
    "pancreas": ("pancreas_{:03d}", {"0": "CT"}, {"1": "pancreas", "2": "cancer"}),
    "prostate": ("prostate_{:02d}", {"0": "T2", "1": "ADC"}, {"1": "PZ", "2": "TZ"}),
}


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real CT."""
    folder = Path(os.environ.get("LIVERSEG_TEST_DATA", REPOSITORY / "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real CT at {folder} (set LIVERSEG_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def predict_labels():
    """A function: the arguments of `find_regions` to the label map of an image."""
    from liverseg_tf.predict.segment_volume import find_regions

    return lambda *arguments: find_regions(*arguments).labels()


@pytest.fixture(scope="session")
def make_volumes():
    """A function: seed, shape (z, row, col) and affine to an int16 CT and its uint8 labels."""
    return _volumes


@pytest.fixture(scope="session")
def write_series():
    """A function: folder and volume to a DICOM series of it, one file a slice."""
    return _write_series


@pytest.fixture(scope="session")
def small_phantoms():
    """A function: folder, count and layout to phantoms that every stage takes seconds for."""

    from liverseg_tf.cli.main import liverseg

    def make(folder, count, layout="msd"):
        shape = ["--shape", "8", "64", "64", "--spacing", "25", "6.5", "6.5", "--layout", layout]
        done = CliRunner().invoke(liverseg, ["phantom", str(folder), "--count", str(count), *shape])
        assert done.exit_code == 0, done.output

    return make


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


@pytest.fixture
def make_task():
    """A function: folder, one of `TASKS` and count to a data set as the Decathlon packs it."""
    return _write_task


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(autouse=True)
def one_core(monkeypatch):
    """A machine with one core: commands start no processes unless a test asks for --workers.

    Starting processes takes longer than the small cases of the tests do.
    """
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


@pytest.fixture
def in_this_process(monkeypatch):
    """Check and cut cases in this process, which is faster than starting worker processes."""
    from liverseg_tf.dataset import write_nnunet
    from liverseg_tf.dataset.check import check_cases
    from liverseg_tf.tiles import preprocess
    from liverseg_tf.workers import run_jobs_here

    for module in (check_cases, preprocess, write_nnunet):
        monkeypatch.setattr(
            module, "run_jobs", lambda function, jobs, _: run_jobs_here(function, jobs)
        )


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """A function: name and function to a folder that is made once for all worker processes.

    The function receives the new folder and fills it. Tests must not change the folder.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # this is the folder of the session; each worker has its own below
    folder = folder / "shared"
    folder.mkdir(exist_ok=True)

    def make(name, fill):
        made, complete = folder / name, folder / f"{name}.complete"
        with FileLock(folder / f"{name}.lock"):
            if not complete.exists():
                shutil.rmtree(made, ignore_errors=True)  # of a worker that failed
                made.mkdir()
                fill(made)
                complete.touch()
        return made

    return make


@pytest.fixture
def beside_library_store(tmp_path, monkeypatch, make_once, small_phantoms):
    """Work beside the folder STORE, a store of small phantoms that `ls.cut_tiles` cut."""

    def fill(folder):
        import liverseg_tf as ls

        small_phantoms(folder / "SET", 3)
        spec = ls.TileSpec(spacing_mm=6, tile_shape=(64, 64))
        ls.cut_tiles(folder / "SET", folder / "STORE", spec, ls.SplitRule(0.3, 0.0))

    shutil.copytree(make_once("library", fill) / "STORE", tmp_path / "STORE")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def untraced_module():
    """Let all tests of a module train without tracing; see `training_hook.untraced_steps`."""
    with training_hook.untraced_steps():
        yield


@pytest.fixture
def untraced_training():
    """Let a test train without tracing; see `training_hook.untraced_steps`."""
    with training_hook.untraced_steps():
        yield


@pytest.fixture(scope="session")
def demo(make_once):
    """The folder of a short `liverseg demo`, and its output."""

    def run(folder):
        from liverseg_tf.cli.main import liverseg

        arguments = ["demo", "--out", folder / "demo", "--cases", 3, "--unseen", 1]
        done = CliRunner().invoke(liverseg, [*map(str, arguments), "--minutes", "0.05"])
        assert done.exit_code == 0, done.output
        (folder / "output.txt").write_text(done.output)

    folder = make_once("demo", run)
    return folder / "demo", (folder / "output.txt").read_text()


@pytest.fixture(scope="session")
def built_run(tmp_path_factory):
    import keras  # most tests need none of it

    from liverseg_tf.ct.regions import LIVER_REGIONS
    from liverseg_tf.model.spec import NetworkSpec
    from liverseg_tf.tiles.spec import TileSpec
    from liverseg_tf.train.network.unet import UNetSpec, build_unet
    from liverseg_tf.train.session.run_folder import RunFolder

    network = NetworkSpec(TileSpec(spacing_mm=3.0), LIVER_REGIONS, 3, 8)
    run = RunFolder.create(tmp_path_factory.mktemp("built") / "run")
    split = {"train": ["a"], "val": ["b"], "test": ["c"]}
    run.write_record(network, store={"split": split}, result={})
    keras.utils.set_random_seed(0)
    run.save_model(build_unet(UNetSpec(3, network.regions.names, base_filters=4, depth=3)))
    return run.folder


@pytest.fixture
def untrained_run(built_run, tmp_path):
    """A run as training writes it, with weights that were never trained."""
    return shutil.copytree(built_run, tmp_path / "run")


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
        dataset.FrameOfReferenceUID = "1.2.3.6"
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


def _write_task(folder, task, count=3):
    """As the archives unpack: dataset.json, imagesTr and labelsTr, one ._ file among them."""
    pattern, modalities, labels = TASKS[task]
    rng = np.random.default_rng(0)
    affine = nib.affines.from_matvec(np.diag([4.0, 4.0, 5.0]), (-90, -100, 20))
    training = []
    for number in range(count):
        name = pattern.format(number) + ".nii.gz"
        organ = np.zeros((48, 48, 10), np.uint8)
        # RAS: i runs to the patient's right, where the liver is
        side = slice(10, 20) if task == "spleen" else slice(28, 38)
        organ[side, 15:32, 2:8] = 1
        if "2" in labels:
            organ[side, 20:25, 4:6] = 2
        if len(modalities) == 1:
            image = np.full(organ.shape, -1000)
            image[6:42, 8:40] = rng.normal(40, 15, (36, 32, 10))
            image[22:26, 9:13] = 600  # the spine
            image += 60 * (organ > 0) - 40 * (organ == 2)
        else:
            image = rng.gamma(4, 60, (*organ.shape, 2)) + 200 * (organ > 0)[..., None]
            image[..., 1] *= 4
        for part, values, dtype in (("images", image, np.int16), ("labels", organ, np.uint8)):
            path = folder / f"{part}Tr" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values.astype(dtype), affine), path)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    (folder / "imagesTr" / f"._{name}").write_bytes(b"Mac OS X")
    description = {
        "name": task.upper(),
        "description": "synthetic",
        "tensorImageSize": "4D" if len(modalities) > 1 else "3D",
        "modality": modalities,
        "labels": {"0": "background", **labels},
        "numTraining": count,
        "numTest": 1,
        "training": training,
        "test": [f"./imagesTs/{pattern.format(99)}.nii.gz"],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder
