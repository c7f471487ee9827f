"""Defaults from a TOML file: a section a command, a key an option."""

import difflib
import tomllib
from pathlib import Path

import click

ORGANS = ("liver", "spleen", "pancreas", "prostate")
RECIPES = ("tiny", "fast", "accurate")


def load_preset(name: str, group: click.Group, ctx: click.Context) -> dict[str, dict]:
    """The defaults of a preset, a TOML file inside the package; see `load_defaults`."""
    return load_defaults(Path(__file__).parents[2] / "presets" / f"{name}.toml", group, ctx)


def merge_defaults(first: dict[str, dict], second: dict[str, dict]) -> dict[str, dict]:
    """Both together; where they name the same option of a command, the second one's."""
    sections = first | second
    return {name: first.get(name, {}) | second.get(name, {}) for name in sections}


def load_defaults(path: Path, group: click.Group, ctx: click.Context) -> dict[str, dict]:
    """Read a TOML file as click's `default_map`.

    A cross-validation trains as a single run does: what `[train]` says holds there, too, unless
    `[crossval]` says otherwise.

    Args:
        path: sections are named after commands, keys after their long options, with hyphens
            or underscores.
        group: whose commands and options are known.
        ctx: of the group.

    Raises:
        click.UsageError: when the file is no TOML, or a section or key is unknown.
    """
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"Expected a TOML file at {path}. Received: {error}.") from error
    defaults = {}
    for section, values in sections.items():
        command = group.get_command(ctx, section)
        if command is None or not isinstance(values, dict):
            raise click.UsageError(
                f"Expected sections named after commands in {path}. Received "
                f"{section!r}{_nearest(section, group.list_commands(ctx))}."
            )
        defaults[section] = _checked(values, command, f"[{section}] of {path}")
    if "train" in defaults:
        defaults["crossval"] = defaults["train"] | defaults.get("crossval", {})
    return defaults


def _checked(values: dict, command: click.Command, place: str) -> dict:
    options = {p.name: p for p in command.params if isinstance(p, click.Option) and p.name}
    checked = {}
    for key, value in values.items():
        name = _parameter(key, options)
        if name is None:
            keys = [max(option.opts, key=len).lstrip("-") for option in options.values()]
            raise click.UsageError(
                f"Expected options of the command as keys in {place}. "
                f"Received {key!r}{_nearest(key, keys)}."
            )
        if isinstance(value, dict):
            raise click.UsageError(f"Expected a value for {key!r} in {place}. Received a table.")
        checked[name] = _nested(value, options[name], f"{key!r} in {place}")
    return checked


def _nested(value: object, option: click.Option, place: str) -> object:
    """The value in the lists that click expects, where one of several may stand alone."""
    if not option.multiple:
        _check_count(value, option.nargs, place)
        return value
    lists = isinstance(value, list) and (
        option.nargs == 1 or any(isinstance(v, list) for v in value)
    )
    values = value if lists or value == [] else [value]
    for one in values:
        _check_count(one, option.nargs, place)
    return values


def _check_count(value: object, count: int, place: str) -> None:
    found = len(value) if isinstance(value, list) else 1
    if found != count or (count == 1 and isinstance(value, list)):
        raise click.UsageError(
            f"Expected {'one value' if count == 1 else f'a list of {count} values'} for {place}. "
            f"Received {value!r}."
        )


def _parameter(key: str, options: dict[str, click.Option]) -> str | None:
    flag = "--" + key.replace("_", "-")
    for name, option in options.items():
        if flag in option.opts or key == name:
            return name
    return None


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(sorted(known))})"
