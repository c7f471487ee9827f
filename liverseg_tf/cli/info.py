"""`liverseg info`: what is installed on this machine, for bug reports."""

import os
from pathlib import Path

import click

import liverseg_tf
from liverseg_tf.cli.shared.command import command
from liverseg_tf.cli.shared.options import json_option
from liverseg_tf.cli.shared.terminal import say, write_results
from liverseg_tf.plural import name_some
from liverseg_tf.workers import core_count

_INDENT, _COLUMNS = 14, 80


@command("info")
@click.option(
    "--devices",
    is_flag=True,
    help="Also import the Keras backend, which takes some seconds, and name the devices and the "
    "precision with which it trains.",
)
@json_option
def info(devices, json) -> None:
    """Print what is installed on this machine, for bug reports.

    Versions, the Keras backend, devices, extras, and the folders that are used as caches. The home
    folder appears as "~"; of the environment, only variables that change computations are shown.
    """
    facts = _gather_facts()
    if devices:
        facts["devices"]["backend"] = _describe_backend_devices()
    if json is None or str(json) != "-":
        _print(facts)
    if json is not None:
        write_results(facts, json)


def _gather_facts() -> dict:
    from liverseg_tf import installation
    from liverseg_tf.ct.size_limit import memory_bytes
    from liverseg_tf.model.precision import cpu_has_bfloat16

    home = Path.home()
    backend, origin = installation.find_backend(os.environ, home)
    return {
        "liverseg_tf": liverseg_tf.__version__,
        **installation.find_system(),
        "packages": installation.installed_versions(),
        "backend": {"name": backend, "chosen_by": origin},
        "devices": {
            "processor": installation.find_processor(),
            "cores": core_count(),
            "bfloat16": cpu_has_bfloat16(),
            "memory_gb": round(memory_bytes() / 1e9, 1),
            "nvidia_gpus": installation.find_nvidia_gpus(),
        },
        "extras": {one.name: list(one.missing) for one in installation.find_extras()},
        "folders": _find_folders(home),
        "variables": installation.find_variables(os.environ),
    }


def _find_folders(home: Path) -> list[dict]:
    """Return the folders in which commands keep what they download or compute."""
    from liverseg_tf.installation import free_bytes
    from liverseg_tf.predict.bundles.cache import cache_folder
    from liverseg_tf.printable import shorten_home

    keras = Path(os.environ.get("KERAS_HOME") or home / ".keras")
    folders = {
        "data_cache": ("downloads, demo", Path("data_cache").absolute()),
        "model cache": ("model bundles", cache_folder()),
        "Keras cache": ("weights of encoders", keras / "models"),
    }
    return [
        {
            "name": name,
            "purpose": purpose,
            "path": shorten_home(path),
            "exists": path.is_dir(),
            "free_gb": None if (free := free_bytes(path)) is None else round(free / 1e9, 1),
        }
        for name, (purpose, path) in folders.items()
    ]


def _describe_backend_devices() -> dict:
    from liverseg_tf.cli.shared.tensorflow import import_backend

    import_backend()
    from liverseg_tf.train.learner.devices import describe_devices
    from liverseg_tf.train.learner.hardware import choose_hardware

    hardware = choose_hardware()
    return {"devices": describe_devices(), **vars(hardware)}


def _print(facts: dict) -> None:
    devices, backend = facts["devices"], facts["backend"]
    bfloat16 = ", bfloat16" if devices["bfloat16"] else ""
    lines = [
        ("liverseg_tf", facts["liverseg_tf"]),
        *((name, facts[name]) for name in ("package", "python", "system", "machine")),
        ("backend", f"{backend['name']} ({backend['chosen_by']})"),
        ("processor", f"{devices['processor']}, {devices['cores']} cores{bfloat16}"),
        ("memory", f"{devices['memory_gb']:g} GB"),
        ("NVIDIA GPUs", "; ".join(devices["nvidia_gpus"]) or "none"),
    ]
    if (seen := devices.get("backend")) is not None:
        compiled = ", compiled" if seen["compiled"] else ""
        lines.append(("trains on", f"{seen['devices']}, {seen['precision']}{compiled}"))
    packages = (f"{name} {one}" for name, one in facts["packages"].items())
    extras = facts["extras"]
    lines += [
        ("packages", ", ".join(packages)),
        ("extras", ", ".join(name for name, missing in extras.items() if not missing) or "none"),
        (
            "not there",
            "; ".join(f"{n} ({name_some(missing)})" for n, missing in extras.items() if missing)
            or ("none" if extras else "unknown: liverseg_tf is run from its sources"),
        ),
    ]
    for one in facts["folders"]:
        free = "" if one["free_gb"] is None else f", {one['free_gb']:g} GB free"
        state = "" if one["exists"] else ", does not exist yet"
        lines.append((one["name"], f"{one['path']} ({one['purpose']}{state}{free})"))
    lines += [("variables", ", ".join(f"{n}={v}" for n, v in facts["variables"].items()) or "none")]
    for name, text in lines:
        _print_wrapped(name, str(text))


def _print_wrapped(name: str, text: str) -> None:
    """Print a name and a text that continues below its own beginning, in 80 columns."""
    import textwrap

    wrapped = textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=f"{name}:".ljust(_INDENT),
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    say(*wrapped)
