"""The scripts of the page: ES modules joined to one classic script.

A page that is opened as a file cannot import modules, so that they are joined here. Each module
becomes a function that returns what it exports; nothing else is changed.
"""

import posixpath
import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";\n', re.MULTILINE)
_EXPORTED = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export \{([^}]*)\};\n", re.MULTILINE)


def bundle(entry: str, read: Callable[[str], str]) -> str:
    """Join a module and everything that it imports.

    Args:
        entry: Path of the module, such as "page/worker.js".
        read: Function that returns the text of a module by its path.

    Returns:
        A script that runs the module.

    Raises:
        ValueError: If a module imports or exports in another way than by lists of names, or
            modules import each other in a circle.
    """
    parts: dict[str, str] = {}
    _add(entry, read, parts, ())
    return '"use strict";\n' + "".join(parts.values())


def _add(
    path: str, read: Callable[[str], str], parts: dict[str, str], above: tuple[str, ...]
) -> None:
    if path in above:
        raise ValueError(f"Expected modules without a circle. Received {path} twice.")
    text = read(path)
    imported = []
    for names, target in _IMPORT.findall(text):
        source = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if source not in parts:
            _add(source, read, parts, (*above, path))
        imported.append(f"const {{ {_listed(names)} }} = {_variable(source)};\n")
    exported = _EXPORTED.findall(text)
    for names in _EXPORT_LIST.findall(text):
        exported += _listed(names).split(", ")
    text = _EXPORT_LIST.sub("", _EXPORTED.sub("", _IMPORT.sub("", text)))
    if re.search(r"^(import|export)\b", text, re.MULTILINE):
        raise ValueError(f"Expected imports and exports as lists of names in {path}.")
    returned = f"return {{ {', '.join(exported)} }};\n" if exported else ""
    content = f"{''.join(imported)}{text}{returned}"
    parts[path] = f"// {path}\nconst {_variable(path)} = (() => {{\n{content}}})();\n"


def _listed(names: str) -> str:
    return ", ".join(names.replace(",", " ").split())


def _variable(path: str) -> str:
    return "$" + re.sub(r"\W", "_", path.removesuffix(".js"))
