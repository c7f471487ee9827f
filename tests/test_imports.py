"""The house: who may import whom, and what stays free of TensorFlow."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "liverseg_tf"
# folder: what it may import besides itself; errors, atomic, workers and cluster are everybody's
MAY_IMPORT = {
    "ct": set(),
    "dataset": {"ct"},
    "tiles": {"ct", "dataset"},
    "train": {"ct", "dataset", "tiles"},
    "predict": {"ct", "dataset", "tiles"},
    "evaluate": {"ct", "dataset"},
    "serve": {"ct", "dataset", "tiles", "train", "predict"},
    "cli": {"ct", "dataset", "tiles", "train", "predict", "evaluate", "serve"},
}
EVERYBODYS = {"errors", "atomic", "workers", "cluster", "__version__"}
MAY_IMPORT_TENSORFLOW = {
    "train/data/pipeline.py": {"tensorflow"},
    "train/data/augmentation.py": {"tensorflow"},
    "train/session/tensorboard.py": {"tensorflow"},
    "train/data/random.py": {"tensorflow"},
    "train/learner/hardware.py": {"tensorflow"},
    "train/learner/hosts.py": {"tensorflow"},
    "train/learner/jax_learner.py": {"jax"},
    "train/learner/tensorflow_learner.py": {"tensorflow"},
    "train/data/warp.py": {"tensorflow"},
    "cli/shared/tensorflow.py": {"tensorflow"},
    "predict/models/run.py": {"keras", "tensorflow"},
    "predict/models/saved_model.py": {"tensorflow"},
    "predict/models/litert.py": {"tensorflow"},
    "serve/export/graph.py": {"tensorflow"},
    "serve/export/png_images.py": {"tensorflow"},
    "serve/export/signatures.py": {"tensorflow"},
    "serve/export/warmup.py": {"tensorflow"},
    "serve/export/quantize.py": {"keras", "tensorflow"},
    "serve/export/convert.py": {"keras", "tensorflow"},
    "serve/export/export_run.py": {"keras"},
}


def _modules():
    return sorted(PACKAGE.rglob("*.py"))


def _imports(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_folder_is_in_the_table():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("module", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(module):
    folder = module.relative_to(PACKAGE).parts[0]
    allowed = MAY_IMPORT.get(folder, set()) | EVERYBODYS | {folder}
    ours = [name.split(".") for name in _imports(module) if name.split(".")[0] == "liverseg_tf"]
    strangers = {parts[1] for parts in ours if len(parts) > 1 and parts[1] not in allowed}
    assert not strangers, f"{module} imports {strangers}"


@pytest.mark.parametrize("module", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_tensorflow_and_keras_stay_where_they_belong(module):
    name = str(module.relative_to(PACKAGE))
    found = {imported.split(".")[0] for imported in _imports(module)} & {
        "tensorflow",
        "keras",
        "jax",
    }
    allowed = {"keras"} if name.startswith("train/") else set()
    assert found <= allowed | MAY_IMPORT_TENSORFLOW.get(name, set())


@pytest.mark.parametrize("module", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(module):
    assert len(module.read_text().splitlines()) <= 250


@pytest.mark.parametrize(
    "code",
    [
        "import liverseg_tf.cli.main as m; m.liverseg(['--help'], standalone_mode=False)",
        "import liverseg_tf.tiles.preprocess, liverseg_tf.cli.preprocess",
        "import liverseg_tf.tiles.estimate, liverseg_tf.dataset.check.summary, liverseg_tf.cli.check",
        "import liverseg_tf.dataset.download.download_source, liverseg_tf.cli.download",
        "import liverseg_tf.evaluate.cases, liverseg_tf.evaluate.report.write_report, liverseg_tf.cli.evaluate",
        "import liverseg_tf.evaluate.viewer.write_viewer, liverseg_tf.cli.view",
        "import liverseg_tf.phantom.phantoms, liverseg_tf.cli.phantom, liverseg_tf.cli.demo",
        "import liverseg_tf.serve.client.served_model, liverseg_tf.serve.client.grpc_transport, liverseg_tf.serve.client.rest_transport, "
        "liverseg_tf.serve.client.messages, grpc",
        "import liverseg_tf.predict.batch.find_images, liverseg_tf.predict.models.run, liverseg_tf.cli.predict",
        "import liverseg_tf.predict.batch.parallel, liverseg_tf.predict.outputs.case_outputs, liverseg_tf.serve.client.served_model",
        "import liverseg_tf.predict.models.saved_model, liverseg_tf.predict.models.litert, "
        "liverseg_tf.predict.models.onnx, liverseg_tf.cli.export",
    ],
)
def test_tensorflow_is_not_imported_before_it_is_needed(code):
    check = (
        "; import sys; print(sorted({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_imports_neither_numpy_nor_rich():
    code = (
        "import sys, liverseg_tf.cli.main as m; m.liverseg(['--help'], standalone_mode=False);"
        "print(sorted({'numpy', 'rich', 'nibabel'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
