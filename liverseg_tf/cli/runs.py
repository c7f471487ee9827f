"""`liverseg runs`: a comparison of the runs in a folder."""

import math
from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.options import FOLDER, json_option
from liverseg_tf.cli.shared.terminal import print_error, say, say_table, write_results
from liverseg_tf.errors import LiverSegError
from liverseg_tf.plural import count, name_some
from liverseg_tf.printable import printable

_LISTED = 10  # skipped folders in one line


@command("runs")
@click.argument("folders", metavar="DIR...", type=FOLDER, nargs=-1, required=True)
@click.option(
    "--curves",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PNG",
    help="Draw the loss and the validation Dice of all runs into one picture.",
)
@click.option(
    "--unfinished",
    is_flag=True,
    help="Also compare runs that have not finished, with their best validation so far.",
)
@json_option
def runs(folders, curves, unfinished, json) -> None:
    """Compare runs: scores, duration, settings that differ.

    DIR is a folder that contains runs, in subfolders down to three levels, or a run. The run with
    the highest mean of the validation Dice comes first. Runs that have not finished, damaged ones
    and folders without a run are named and skipped.

    The exit code is 1 if a run is damaged, or if there is no run to compare.
    """
    from liverseg_tf.train.comparison.compare_runs import find_differences, find_obstacles
    from liverseg_tf.train.comparison.find_runs import find_runs

    found, skipped = find_runs(folders, unfinished)
    _say_skipped(skipped)
    if not found:
        raise LiverSegError(
            f"Expected at least one run in {', '.join(map(str, folders))}. Received none that can "
            "be compared."
        )
    differences, notes = find_differences(found), find_obstacles(found)
    if curves is not None:
        _draw(found, curves)
    only_json = json is not None and str(json) == "-"
    if not only_json:
        _print_table(found, differences)
        if curves is not None:
            say(f"curves: {curves}")
    for note in notes:
        say(f"Note: {note}", err=True)
    if json is not None:
        results = {
            "runs": [run.to_json() for run in found],
            "differences": differences,
            "notes": notes,
            "skipped": [vars(one) for one in skipped],
        }
        write_results(results, json)
    exit_if_failed(sum(one.is_damaged for one in skipped))


def _say_skipped(skipped) -> None:
    """Name what is left out: damaged runs one by one, other folders together for each reason."""
    reasons: dict[str, list[str]] = {}
    for one in skipped:
        if one.is_damaged:
            print_error(f"Skipped {one.name}: {one.reason.rstrip('.')}.")
        else:
            reasons.setdefault(one.reason, []).append(one.name)
    for reason, names in reasons.items():
        say(f"Skipped {name_some(names, _LISTED)}: {reason}.", err=True)


def _draw(found, path: Path) -> None:
    from liverseg_tf.train.comparison.draw_runs import draw_runs
    from liverseg_tf.train.comparison.found_run import read_log
    from liverseg_tf.train.preview.figure_file import write_figure

    logs = {}
    for run in found:
        try:
            logs[run.name] = read_log(run.folder)
        except LiverSegError as error:
            say(f"Note: {run.name} is not in the picture. {error}", err=True)
    write_figure(draw_runs(logs), path)


def _print_table(found, differences) -> None:
    from rich import box
    from rich.table import Table

    from liverseg_tf.train.comparison.compare_runs import describe_facts

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in ("run", "validation Dice"):
        table.add_column(heading, overflow="fold")
    for heading in ("steps", "min"):
        table.add_column(heading, justify="right")
    if len(found) > 1:
        table.add_column("settings that differ", overflow="fold")
    for run in found:
        name = printable(run.name) + ("" if run.finished else " (not finished)")
        dice = [f"{printable(region)} {_format_dice(one)}" for region, one in run.dice.items()]
        if len(dice) > 1:
            dice.append(f"mean {_format_dice(run.mean_dice)}")
        cells = [name, "\n".join(dice) or "-", str(run.steps), _format_minutes(run.seconds)]
        if len(found) > 1:
            facts = describe_facts(run, differences)
            cells.append("\n".join(map(printable, facts)) or "none")
        table.add_row(*cells)
    say_table(table)
    say(count(len(found), "run"))


def _format_dice(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _format_minutes(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds / 60:.1f}"
