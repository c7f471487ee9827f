"""`import liverseg_tf`: light, complete, and unharmed by the import of any subpackage."""

import ast
import subprocess
import sys
from pathlib import Path

import liverseg_tf

PACKAGE = Path(liverseg_tf.__file__).parent


def test_the_import_is_light_and_every_name_can_be_used_after_every_subpackage():
    code = (
        "import sys, pkgutil, importlib\n"
        "import liverseg_tf as ls\n"
        "heavy = {'numpy', 'tensorflow', 'keras', 'jax', 'torch', 'nibabel', 'click'}\n"
        "own = [name for name in sys.modules if name.startswith('liverseg_tf')]\n"
        "print(sorted(heavy & set(sys.modules)), own)\n"
        "for found in pkgutil.iter_modules(ls.__path__):\n"
        "    if found.name != '__main__':\n"
        "        importlib.import_module(f'liverseg_tf.{found.name}')\n"
        "kinds = {name: type(getattr(ls, name)).__name__ for name in ls.__all__}\n"
        "others = [n for n, kind in kinds.items() if kind not in ('function', 'type')]\n"
        "print(others, set(kinds) <= set(dir(ls)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "[] ['liverseg_tf']",
        "['losses', 'metrics'] True",
    ]


def test_no_name_is_that_of_a_module():
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert not modules & set(liverseg_tf.__all__)


def test_type_checkers_see_the_names_that_are_offered():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    offered = {
        name: f"liverseg_tf.{module}.{name}" for name, module in liverseg_tf._MODULES.items()
    }
    assert seen == offered
    assert sorted(seen) == sorted(liverseg_tf.__all__)


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(liverseg_tf, "unknown")
