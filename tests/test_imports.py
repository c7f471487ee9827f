"""Which module may import which, and which modules stay free of TensorFlow."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "liverseg_tf"
# folder: the folders that it may import besides itself and the modules of the base
MAY_IMPORT = {
    "": {"api", "ct", "dataset", "tiles", "predict"},  # for type checkers only
    "ct": set(),
    "phantom": {"ct"},
    "dataset": {"ct"},
    "tiles": {"ct", "dataset"},
    "model": {"ct", "tiles"},
    "train": {"ct", "phantom", "tiles", "model"},
    "plan": {"ct", "dataset", "tiles", "model", "train"},
    "predict": {"ct", "phantom", "dataset", "tiles", "model"},
    "evaluate": {"ct", "dataset"},
    "serve": {"ct", "dataset", "tiles", "model", "predict"},
    "cli": {
        *("ct", "phantom", "dataset", "tiles", "model", "train", "plan", "predict", "evaluate"),
        "serve",
    },
    "api": {"ct", "dataset", "tiles", "model", "train", "predict", "evaluate", "serve"},
    "__main__": {"cli"},
}
BASE = {
    "errors",
    "atomic",
    "bootstrap",
    "locks",
    "partials",
    "records",
    "retry",
    "workers",
    "cluster",
    "choices",
    "deadline",
    "installation",
    "html_page",
    "network_host",
    "plural",
    "printable",
    "__version__",
}
FRAMEWORKS = {"tensorflow", "keras", "jax", "torch"}
MAY_IMPORT_FRAMEWORKS = {
    "api/datasets.py": {"keras", "tensorflow"},
    "model/torch_layers.py": {"keras", "torch"},
    "train/data/compilation.py": {"jax", "tensorflow"},
    "train/data/dataset.py": {"keras", "tensorflow"},
    "train/data/device_memory.py": {"jax", "tensorflow", "torch"},
    "train/learner/devices.py": {"jax", "tensorflow", "torch"},
    "train/learner/execution.py": {"jax"},
    "train/learner/fused_adamw.py": {"tensorflow"},
    "train/learner/hardware.py": {"tensorflow", "torch"},
    "train/learner/hosts.py": {"tensorflow"},
    "train/learner/jax_learner.py": {"jax"},
    "train/learner/tensorflow_layers.py": {"keras", "tensorflow"},
    "train/learner/tensorflow_learner.py": {"tensorflow"},
    "train/learner/torch_graph.py": {"torch"},
    "train/learner/torch_learner.py": {"torch"},
    "train/session/tensorboard.py": {"tensorflow"},
    "cli/shared/tensorflow.py": {"keras", "tensorflow"},
    "predict/models/half_precision.py": {"keras"},
    "predict/models/run.py": {"keras", "tensorflow", "torch"},
    "predict/models/saved_model.py": {"tensorflow"},
    "predict/models/saved_model_check.py": {"tensorflow"},
    "predict/models/litert.py": {"tensorflow"},
    "serve/export/graph.py": {"tensorflow"},
    "serve/export/png_images.py": {"tensorflow"},
    "serve/export/signatures.py": {"tensorflow"},
    "serve/export/server_version.py": {"tensorflow"},
    "serve/export/warmup.py": {"tensorflow"},
    "serve/export/quantize.py": {"keras", "tensorflow"},
    "serve/export/convert.py": {"keras", "tensorflow"},
    "serve/export/averaged_runs.py": {"keras"},
    "serve/export/export_run.py": {"tensorflow"},
    "serve/export/write_errors.py": {"tensorflow"},
}

# what a command imports before it needs a framework, without the name of the package
WITHOUT_FRAMEWORKS = (
    "tiles.preprocess cli.preprocess",
    "tiles.estimate dataset.check.summary cli.check",
    "plan.measure_dataset plan.make_plan plan.write_plan cli.plan",
    "dataset.download.download_source cli.download",
    "evaluate.evaluate_folder evaluate.report.write_report cli.evaluate",
    "evaluate.viewer.write_viewer cli.view",
    "predict.outputs.convert_mask cli.convert dataset.write_nnunet cli.to_nnunet",
    "predict.trust.trust_run cli.trust",
    "predict.bundles.locate predict.bundles.pack predict.bundles.self_test cli.pack cli.models",
    "phantom.phantoms cli.phantom cli.demo",
    "api.volumes api.stores api.scores",
    "serve.client.served_model serve.client.grpc_transport serve.client.rest_transport",
    "serve.client.messages",
    "serve.node.node serve.node.segment_series cli.node",
    "predict.batch.find_images predict.models.run cli.predict",
    "installation train.comparison.find_runs train.comparison.compare_runs cli.info cli.runs",
    "predict.batch.parallel predict.outputs.case_outputs serve.client.served_model",
    "serve.server.model_loading serve.server.app cli.serve",
    "predict.models.saved_model predict.models.litert predict.models.onnx cli.export",
)


@functools.cache
def _modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    """Dotted names that a module imports anywhere: in functions and for type checkers, too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


@functools.cache
def _imported_modules(name: str) -> frozenset[str]:
    """The modules of the package that one of them imports."""
    found = set()
    for imported in _imports(_modules()[name]):
        if imported not in _modules():
            imported = imported.rpartition(".")[0]
        if imported in _modules():
            found.add(imported)
    return frozenset(found - {name, "liverseg_tf"})


def _folder(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


def find_cycle(graph: dict[str, frozenset[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one named again; [] if there are none.

    Args:
        graph: module to the modules that it imports.
    """
    finished: set[str] = set()

    def visit(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in finished:
            return []
        for imported in sorted(graph.get(name, ())):
            cycle = visit(imported, [*above, name])
            if cycle:
                return cycle
        finished.add(name)
        return []

    return next((cycle for name in graph if (cycle := visit(name, []))), [])


def _by_path(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_folder_is_in_the_table():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == MAY_IMPORT.keys() - {"", "__main__"}


# one test for all modules each time, because hundreds of tests take longer than what they check


def test_imports_run_downwards():
    wrong = []
    for name in _modules():
        folder = _folder(name)
        allowed = MAY_IMPORT.get(folder, set()) | BASE | {folder}
        wrong += [
            f"{name} imports {imported}"
            for imported in _imported_modules(name)
            if _folder(imported) not in allowed
        ]
    assert wrong == []


def test_every_entry_of_the_table_is_needed():
    needed = {folder: set() for folder in MAY_IMPORT}
    for name in _modules():
        if _folder(name) in needed:
            needed[_folder(name)] |= {_folder(imported) for imported in _imported_modules(name)}
    for folder, allowed in MAY_IMPORT.items():
        assert allowed <= needed[folder], f"{folder}: not needed"


def test_no_modules_import_each_other():
    assert find_cycle({name: _imported_modules(name) for name in _modules()}) == []


def test_a_cycle_is_found():
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": {"e"}, "e": {"d"}}
    assert find_cycle(graph) == ["d", "e", "d"]
    assert find_cycle({**graph, "e": set()}) == []


def test_choices_imports_nothing():
    assert _imports(PACKAGE / "choices.py") == set()


def test_frameworks_stay_where_they_belong():
    wrong = {}
    for path in _modules().values():
        name = _by_path(path)
        found = {imported.split(".")[0] for imported in _imports(path)} & FRAMEWORKS
        allowed = {"keras"} if name.startswith(("train/", "api/")) else set()
        wrong[name] = found - allowed - MAY_IMPORT_FRAMEWORKS.get(name, set())
    assert {name: found for name, found in wrong.items() if found} == {}


def test_every_module_of_the_framework_table_exists_and_needs_its_entry():
    for name, frameworks in MAY_IMPORT_FRAMEWORKS.items():
        found = {imported.split(".")[0] for imported in _imports(PACKAGE / name)}
        assert frameworks <= found, name


def test_modules_stay_short():
    lines = {
        _by_path(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in _modules().values()
    }
    assert {name: count for name, count in lines.items() if count > 250} == {}


def test_frameworks_are_not_imported_before_they_are_needed():
    names = [f"liverseg_tf.{name}" for line in WITHOUT_FRAMEWORKS for name in line.split()]
    code = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        f"    print(name, [one for one in {sorted(FRAMEWORKS)} if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in names]


def test_help_imports_neither_numpy_nor_rich():
    code = (
        "import sys, liverseg_tf.cli.main as m; m.liverseg(['--help'], standalone_mode=False);"
        f"heavy = {sorted({'numpy', 'rich', 'nibabel'} | FRAMEWORKS)};"
        "print([n for n in heavy if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
