"""The configuration files of TensorFlow Serving, which are stored beside the models."""

import re
from pathlib import Path

from liverseg_tf.atomic import replacing
from liverseg_tf.errors import LiverSegError
from liverseg_tf.locks import exclusive_lock

MODELS, BATCHING, MONITORING = "models.config", "batching_parameters.txt", "monitoring.config"
ROOT = "/models"  # path of the folder in the container

_MODEL = """\
  config {{
    name: "{name}"
    base_path: "{root}/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""
# for servers that are started with --enable_batching, which the command below does not do: a server
# does not group requests by shape, and the tiles of two patients differ in shape
_BATCHING = """\
# Used only with --enable_batching, which merges the requests of all clients. Merged requests fail
# with FAILED_PRECONDITION if their slices differ in shape, so all clients must send one shape.
max_batch_size { value: 1024 }
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 32 }
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
    """Add a model to `models.config`, and write the other files if they do not exist.

    Existing entries are kept, for example a version that a user has pinned.

    Args:
        out: Folder of the models.
        name: Name of the model.

    Raises:
        LiverSegError: If a file cannot be read or written.
    """
    # two exports of different models may end at the same time; no model has a name with a space
    lock = out / ".server files.lock"
    with exclusive_lock(lock, f"the file {out / MODELS}", wait=True, remove=True):
        for file, text in ((BATCHING, _BATCHING), (MONITORING, _MONITORING)):
            if not (out / file).exists():
                _write_text(out / file, text)
        _add_model(out / MODELS, name)


def _add_model(path: Path, name: str) -> None:
    """Add a model to `models.config`, which is written if it does not exist."""
    entry = _MODEL.format(name=name, root=ROOT)
    if not path.exists():
        _write_text(path, f"model_config_list {{\n{entry}}}\n")
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LiverSegError(f"Expected a text file at {path}. Received: {error}.") from error
    if re.search(rf'name\s*:\s*["\']{re.escape(name)}["\']', text):
        return
    before, brace, after = text.rpartition("}")
    if not brace:
        raise LiverSegError(
            f"Expected a model_config_list in {path}, but the file has none. Remove the file to "
            "have it written again."
        )
    _write_text(path, f"{before.rstrip()}\n{entry}{brace}{after}")


def docker_command(out: Path) -> str:
    """Return a command that serves the folder to clients on this machine only."""
    options = [
        "docker run --rm",
        "-p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501",
        f"--mount type=bind,source={Path(out).resolve()},target={ROOT},readonly",
        "tensorflow/serving",
        f"--model_config_file={ROOT}/{MODELS} --model_config_file_poll_wait_seconds=60",
        f"--monitoring_config_file={ROOT}/{MONITORING}",
    ]
    return " \\\n  ".join(options)


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
