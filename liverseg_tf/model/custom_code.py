"""Functions and models of the caller, which a run records by name and checksum, and never imports.

A record may come from a stranger. It names the code that a run needs, so that a user can find it,
and tells whether the code that the caller hands over is the same. It never chooses what is run.
"""

import functools
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from liverseg_tf.errors import SettingsError
from liverseg_tf.printable import printable

_SHORT = 8  # digits of a checksum that are shown


@dataclass(frozen=True)
class CodeOrigin:
    """Where a function, a class or a model comes from.

    Args:
        import_path: Module and name, such as 'my_project.losses.boundary_loss'.
        source_hash: Checksum of the source and, for an object of Keras, of its configuration:
            BLAKE2b, 32 hexadecimal digits. None if the source is not known.
    """

    import_path: str
    source_hash: str | None = None

    def __str__(self) -> str:
        text = printable(self.import_path)
        return text if self.source_hash is None else f"{text} ({self.source_hash[:_SHORT]})"


def describe_code(code: Any) -> CodeOrigin:
    """Describe a function, a class, or an object of a class such as a loss or a model of Keras.

    Args:
        code: The function, class or object.

    Example:
        >>> describe_code(json.dumps).import_path
        'json.dumps'
    """
    arguments = None
    if isinstance(code, functools.partial):
        arguments = json.dumps([code.args, code.keywords], sort_keys=True, default=str)
        code = code.func
    named = code if hasattr(code, "__qualname__") else type(code)
    parts = [_source_of(named), _config_of(code), arguments]
    known = [part for part in parts if part is not None]
    checksum = None
    if known:
        checksum = hashlib.blake2b("\n".join(known).encode(), digest_size=16).hexdigest()
    return CodeOrigin(f"{named.__module__}.{named.__qualname__}", checksum)


def check_same_code(
    recorded: Mapping[str, CodeOrigin], given: Mapping[str, CodeOrigin], run: object
) -> None:
    """Check that the caller hands over the code with which a run was started.

    Args:
        recorded: What the run used, by the name of the parameter.
        given: What the caller handed over.
        run: Folder of the run, for the message.

    Raises:
        SettingsError: If something is missing or differs.
    """
    for name in dict.fromkeys((*recorded, *given)):
        if recorded.get(name) != given.get(name):
            raise SettingsError(
                f"Expected for the run in {run} the same {name} as before: "
                f"{recorded.get(name, 'none of your own')}. "
                f"Received {given.get(name, 'none of your own')}: hand over the same code in "
                "train_model, or use another folder."
            )


def to_json(codes: Mapping[str, CodeOrigin]) -> dict[str, dict]:
    """Return descriptions as plain JSON values."""
    return {name: asdict(code) for name, code in codes.items()}


def _source_of(named: Any) -> str | None:
    """Return the source of a function or class; None for one that was typed in a shell."""
    try:
        return inspect.getsource(named)
    except (OSError, TypeError):
        return None


def _config_of(code: Any) -> str | None:
    """Return the configuration of an object of Keras as text; None for anything else."""
    if not hasattr(code, "get_config") or isinstance(code, type):
        return None
    try:
        text = json.dumps(code.get_config(), sort_keys=True, default=str)
    except NotImplementedError:  # a model of a class of the caller's
        return None
    # layers that are made again get other numbers in their names, and objects other addresses
    for number, layer in enumerate([code, *getattr(code, "layers", ())]):
        text = text.replace(f'"{getattr(layer, "name", "")}"', f'"layer {number}"')
    return re.sub(r" at 0x[0-9a-f]+", "", text)
