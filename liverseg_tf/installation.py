"""What is installed on this machine, for bug reports. Nothing is imported to find out."""

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from liverseg_tf.choices import BACKENDS
from liverseg_tf.printable import printable, shorten_home

PACKAGE = "liverseg_tf"
# what most bug reports depend on; the other requirements are listed with the extras
_PACKAGES = (
    *("tensorflow", "keras", "jax", "jaxlib", "torch", "numpy", "scipy", "nibabel", "pydicom"),
    *("scikit-image", "h5py", "pillow", "msgspec", "matplotlib", "click", "rich"),
)
# variables that change how this package computes; none of them holds a secret
_VARIABLES = (
    *(
        "LIVERSEG_CACHE",
        "KERAS_BACKEND",
        "KERAS_HOME",
        "KERAS_TORCH_DEVICE",
        "CUDA_VISIBLE_DEVICES",
        "JAX_PLATFORMS",
    ),
    *("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("TF_GPU_ALLOCATOR", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_XLA_FLAGS", "XLA_FLAGS"),
    *("XLA_PYTHON_CLIENT_PREALLOCATE", "OMP_NUM_THREADS", "MPLCONFIGDIR", "TMPDIR"),
    *("COLUMNS", "LANG", "LC_ALL", "PYTHONUTF8"),
)
_DEVELOPMENT = {"docs", "test", "peers"}  # extras for those who change the package
_NVIDIA_SECONDS = 10.0


@dataclass(frozen=True)
class Extra:
    """An extra of the package.

    Args:
        name: Name of the extra.
        missing: What it needs and is not installed, or has another version, one text each.
    """

    name: str
    missing: tuple[str, ...]


def installed_versions() -> dict[str, str]:
    """Return the versions of the packages that matter most; those that are missing are left out."""
    found = ((name, _version(name)) for name in _PACKAGES)
    return {name: one for name, one in found if one is not None}


def find_extras() -> list[Extra]:
    """Return the extras of the package, and what each of them lacks on this machine.

    There are none if the package was not installed but is run from its sources.
    """
    try:
        names = metadata(PACKAGE).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
    return [
        Extra(name, tuple(dict.fromkeys(_find_missing(PACKAGE, name))))
        for name in sorted(set(names) - _DEVELOPMENT)
    ]


def find_backend(environment: Mapping[str, str], home: Path) -> tuple[str, str]:
    """Return the Keras backend that the commands use, and where it was chosen.

    Args:
        environment: Environment variables, usually `os.environ`.
        home: Home folder.
    """
    chosen = environment.get("KERAS_BACKEND")
    if chosen:
        known = "" if chosen in BACKENDS else "; unknown, expected one of " + ", ".join(BACKENDS)
        return printable(chosen), f"the variable KERAS_BACKEND{known}"
    file = Path(environment.get("KERAS_HOME") or home / ".keras") / "keras.json"
    try:
        backend = json.loads(file.read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "the default"
    return printable(backend), shorten_home(file)


def find_processor() -> str:
    """Return the name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return printable(name.group(1) if name else platform.processor() or platform.machine())


def find_nvidia_gpus() -> list[str]:
    """Return name, memory and driver of each NVIDIA GPU, as the driver's own tool says them.

    The list is empty without a driver, and says what the tool says if it fails.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    fields = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            [tool, *fields], capture_output=True, text=True, timeout=_NVIDIA_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [f"nvidia-smi failed: {type(error).__name__}"]
    lines = (done.stdout if done.returncode == 0 else done.stdout + done.stderr).splitlines()
    gpus = [printable(line.strip()) for line in lines if line.strip()]
    return gpus if done.returncode == 0 else [f"nvidia-smi failed: {' '.join(gpus)[:200]}"]


def find_system() -> dict[str, str]:
    """Return the versions of Python and of the operating system, and the folder of the package."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:  # not Linux
        name = platform.system()
    return {
        "python": f"{platform.python_version()} ({shorten_home(sys.prefix)})",
        "system": printable(f"{name}, {platform.system()} {platform.release()}"),
        "machine": platform.machine(),
        "package": shorten_home(Path(__file__).parent),
    }


def find_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set and change how the package computes; never a secret.

    Args:
        environment: Environment variables, usually `os.environ`.
    """
    return {name: shorten_home(environment[name]) for name in _VARIABLES if name in environment}


def free_bytes(folder: Path) -> int | None:
    """Return the free disk space where a folder is, or would be; None if this is unknown."""
    try:
        place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        return shutil.disk_usage(place).free
    except (OSError, StopIteration):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _find_missing(package: str, extra: str) -> Iterator[str]:
    """Yield what an extra of a package needs and is missing, also through further extras."""
    for line in requires(package) or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or "extra" not in str(marker) or not marker.evaluate({"extra": extra}):
            continue
        name = requirement.name
        if name.replace("-", "_") != PACKAGE:
            found = _version(name)
            if found is None:
                yield name
                continue
            if not requirement.specifier.contains(found, prereleases=True):
                yield f"{name} {found} is not {requirement.specifier}"
        for further in requirement.extras:
            yield from _find_missing(name, further)
