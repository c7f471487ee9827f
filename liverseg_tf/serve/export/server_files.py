"""The files that configure TensorFlow Serving, beside the models."""

import re
from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError

MODELS, BATCHING, MONITORING = "models.config", "batching_parameters.txt", "monitoring.config"
ROOT = "/models"  # where the container sees the folder

_MODEL = """\
  config {{
    name: "{name}"
    base_path: "{root}/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""
# requests already hold some slices: a batch of 32 is filled by few clients, and 2 ms are little
# beside the time of a slice
_BATCHING = """\
max_batch_size { value: 32 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 4 }
"""
_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def write_server_files(out: Path, name: str) -> None:
    """Name a model in `models.config`, and write the other files where there are none.

    What stands there already is kept, so that a pinned version stays pinned.

    Args:
        out: folder of the models.
        name: of the model.

    Raises:
        LiverSegError: when a file can't be read or written.
    """
    for file, text in ((BATCHING, _BATCHING), (MONITORING, _MONITORING)):
        if not (out / file).exists():
            _write(out / file, text)
    path = out / MODELS
    entry = _MODEL.format(name=name, root=ROOT)
    if not path.exists():
        _write(path, f"model_config_list {{\n{entry}}}\n")
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LiverSegError(f"Expected a text at {path}. Received: {error}.") from error
    if re.search(rf'name\s*:\s*["\']{re.escape(name)}["\']', text):
        return
    before, brace, after = text.rpartition("}")
    if not brace:
        raise LiverSegError(f"Expected a model_config_list in {path}. Received none.")
    _write(path, f"{before.rstrip()}\n{entry}{brace}{after}")


def docker_line(out: Path) -> str:
    """A command that serves the folder, reachable from this machine alone."""
    options = [
        "docker run --rm",
        "-p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501",
        f"--mount type=bind,source={Path(out).resolve()},target={ROOT},readonly",
        "tensorflow/serving",
        f"--model_config_file={ROOT}/{MODELS} --model_config_file_poll_wait_seconds=60",
        f"--enable_batching --batching_parameters_file={ROOT}/{BATCHING}",
        f"--monitoring_config_file={ROOT}/{MONITORING}",
    ]
    return " \\\n  ".join(options)


def _write(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
