"""Default values from a TOML file: one section per command, one key per option."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from liverseg_tf.errors import reason_of
from liverseg_tf.plural import count


def load_preset(name: str, group: click.Group, ctx: click.Context) -> dict[str, dict]:
    """Return the default values of a preset, a TOML file in the package; see `load_defaults`."""
    return load_defaults(Path(__file__).parents[2] / "presets" / f"{name}.toml", group, ctx)


def merge_defaults(first: Mapping[str, dict], second: Mapping[str, dict]) -> dict[str, dict]:
    """Return the default values of both; `second` overrides `first`."""
    return {name: first.get(name, {}) | second.get(name, {}) for name in [*first, *second]}


def load_defaults(path: Path, group: click.Group, ctx: click.Context) -> dict[str, dict]:
    """Read a TOML file as click's `default_map`.

    The section `[train]` also applies to `crossval`, unless `[crossval]` overrides it.

    Args:
        path: Path of the file. Its sections are named after commands, its keys after their long
            options, with hyphens or underscores.
        group: Group of the commands.
        ctx: Context of the group.

    Raises:
        click.UsageError: If the file is not valid TOML, or a section or key is unknown.
    """
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = reason_of(error)
        raise click.UsageError(f"Expected a TOML file at {path}. Received: {reason}.") from error
    defaults = {}
    for section, values in sections.items():
        command = group.get_command(ctx, section)
        if command is None or not isinstance(values, dict):
            raise click.UsageError(
                f"Expected sections named after commands in {path}. Received "
                f"'{section}'{_suggestion(section, group.list_commands(ctx))}."
            )
        defaults[section] = _parse_section(values, command, f"[{section}] of {path}")
    if "train" in defaults:
        defaults["crossval"] = defaults["train"] | defaults.get("crossval", {})
    return defaults


def _parse_section(values: dict, command: click.Command, place: str) -> dict:
    options = {p.name: p for p in command.params if isinstance(p, click.Option) and p.name}
    defaults = {}
    for key, value in values.items():
        name = _find_option(key, options)
        if name is None:
            keys = [max(option.opts, key=len).lstrip("-") for option in options.values()]
            raise click.UsageError(
                f"Expected options of the command as keys in {place}. "
                f"Received '{key}'{_suggestion(key, keys)}."
            )
        if isinstance(value, dict):
            raise click.UsageError(f"Expected a value for '{key}' in {place}. Received a table.")
        defaults[name] = _parse_value(value, options[name], f"'{key}' in {place}")
    return defaults


def _parse_value(value: Any, option: click.Option, place: str) -> Any:
    """Return the value as click expects it: a repeatable option needs a list of its values."""
    if not option.multiple:
        _check_length(value, option.nargs, place)
        _check_types([value], option, place)
        return value
    repeated = isinstance(value, list) and (
        option.nargs == 1 or any(isinstance(item, list) for item in value)
    )
    values = value if repeated or value == [] else [value]
    for item in values:
        _check_length(item, option.nargs, place)
    _check_types(values, option, place)
    return values


def _check_types(values: list, option: click.Option, place: str) -> None:
    """Check the types of values: TOML has types, and click would convert most of them silently.

    Args:
        values: Values of the option; each is a list if the option takes several values.
        option: Option of the command.
        place: Key, section and file, for error messages.
    """
    kind = option.type
    kinds = kind.types if isinstance(kind, click.Tuple) else [kind] * max(option.nargs, 1)
    for value in values:
        for item, item_kind in zip(
            value if isinstance(value, list) else [value], kinds, strict=True
        ):
            expected = _expected_type(item, item_kind)
            if expected is not None:
                raise click.UsageError(f"Expected {expected} for {place}. Received {item!r}.")


def _expected_type(value: Any, kind: click.ParamType) -> str | None:
    """Return what an option expects if a value has another type. Numbers may be given as text."""
    if isinstance(kind, click.types.BoolParamType):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(kind, click.types.IntParamType):
        is_valid = isinstance(value, int | str) and not isinstance(value, bool)
        return None if is_valid else "an integer"
    if isinstance(kind, click.types.FloatParamType):
        is_valid = isinstance(value, int | float | str) and not isinstance(value, bool)
        return None if is_valid else "a number"
    if isinstance(kind, click.Path | click.Choice):
        return None if isinstance(value, str) else "text in quotation marks"
    is_valid = isinstance(value, str | int | float) and not isinstance(value, bool)
    return None if is_valid else "text"


def _check_length(value: Any, expected: int, place: str) -> None:
    is_list = isinstance(value, list)
    if (len(value) if is_list else 1) != expected or (expected == 1 and is_list):
        wording = "one value" if expected == 1 else f"a list of {count(expected, 'value')}"
        received = f"a list of {count(len(value), 'value')}" if is_list else value
        raise click.UsageError(f"Expected {wording} for {place}. Received {received}.")


def _find_option(key: str, options: dict[str, click.Option]) -> str | None:
    """Return the parameter name of the option that a key means."""
    flag = "--" + key.replace("_", "-")
    for name, option in options.items():
        if flag in option.opts or key == name:
            return name
    return None


def _suggestion(word: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(word, known, 1)
    if nearest:
        return f" (did you mean '{nearest[0]}'?)"
    return f" (known: {', '.join(sorted(known))})"
