"""`liverseg check`: problems and statistics of a data set."""

from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.data_options import (
    check_settings,
    dataset_options,
    find_corrected_cases,
    tile_options,
    tile_spec,
)
from liverseg_tf.cli.shared.options import FOLDER, accept_rule, json_option, region, workers_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import say, say_table, write_results
from liverseg_tf.plural import count


@command("check")
@click.argument("dataset", type=FOLDER)
@region
@dataset_options
@tile_options
@accept_rule
@json_option
@workers_options("Number of processes.")
@click.pass_context
def check(ctx, dataset, json, **options) -> None:
    """Check every case of a data set and report problems.

    Every case of DATASET is read once, and each problem is printed as one line. A table of
    statistics follows, and what `liverseg preprocess` with the same options takes in disk space,
    memory and time.

    Without --region, the regions are the labels of dataset.json, if there are any. The exit code
    is 1 if there are errors.
    """
    from liverseg_tf.dataset.check.check_cases import check_cases
    from liverseg_tf.dataset.check.issues import ERROR, WARNING, format_issues
    from liverseg_tf.dataset.check.summary import summarise_check

    spec, cases = tile_spec(options), find_corrected_cases(dataset, options)
    settings, issues = check_settings(ctx, dataset, cases, spec, options)
    cases = [settings.name_segments(case) for case in cases]
    with progress("check", len(cases)) as show:
        finished = iter(range(1, len(cases) + 1))
        checked = check_cases(
            cases, settings, options["workers"], lambda name: show(next(finished), name)
        )
    checked.issues[:0] = issues
    summary = summarise_check(checked, settings)
    estimate = _estimate(cases, checked, spec)
    to_stderr = json is not None and str(json) == "-"
    for line in format_issues(checked.issues):
        say(line, err=to_stderr)
    _print_table(summary, to_stderr)
    if estimate is not None:
        say(*_format_estimate(estimate, options).splitlines(), err=to_stderr)
    if json is not None:
        _write_results(json, checked, summary, estimate)
    errors, warnings = checked.count(ERROR), checked.count(WARNING)
    say(
        f"{count(len(cases), 'case')}: {count(errors, 'error')}, {count(warnings, 'warning')}",
        err=to_stderr,
    )
    exit_if_failed(errors)


def _estimate(cases, checked, spec):
    from liverseg_tf.tiles.estimate import estimate_store

    return estimate_store(cases, checked, spec)


def _print_table(summary, to_stderr: bool) -> None:

    from liverseg_tf.dataset.check.summary import summary_table

    if summary:
        say_table(summary_table(summary), to_stderr)


def _format_estimate(estimate, options) -> str:
    processes = 1 if options["workers"] is None else options["workers"].count
    compressed = options["storage"] != "hdf5"
    return (
        f"preprocess takes {'at most ' if compressed else ''}{_format_bytes(estimate.store_bytes)} "
        f"of disk space, {_format_bytes(estimate.process_bytes)} of memory per process,\n"
        f"and about {estimate.seconds_with(processes):.0f} s with "
        f"{count(processes, 'process', 'processes')}"
    )


def _format_bytes(size: float) -> str:
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{max(0.1, size / 1e6):.3g} MB"


def _write_results(path: Path, checked, summary, estimate) -> None:
    from dataclasses import asdict

    from liverseg_tf.dataset.check.summary import check_to_json

    results = check_to_json(checked, summary)
    results["estimate"] = None if estimate is None else asdict(estimate)
    write_results(results, path)
