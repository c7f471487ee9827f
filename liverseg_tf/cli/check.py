"""`liverseg check`: every case read and judged."""

import json as json_module
from pathlib import Path

import click

from liverseg_tf.cli.shared.command import command, end_with
from liverseg_tf.cli.shared.data_options import (
    dataset_options,
    find_corrected_cases,
    tile_options,
    tile_spec,
)
from liverseg_tf.cli.shared.options import FOLDER, region, workers_options
from liverseg_tf.cli.shared.progress import progress


@command("check")
@click.argument("dataset", type=FOLDER)
@region
@dataset_options
@tile_options
@click.option(
    "--json",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE|-",
    help="Write everything that was found as JSON; - is standard output, with nothing else on it.",
)
@workers_options("Processes.")
@click.pass_context
def check(ctx, dataset, regions, json, **options) -> None:
    """Read every case of DATASET once and say what is wrong with it, a line for each finding.

    Then come the figures of the data set, and what `liverseg preprocess` with the same options
    will take. Regions are the labels of dataset.json where it has some and --region is not
    given. Exit code 1 where there are errors.
    """
    from liverseg_tf.dataset.check.checks import check_cases
    from liverseg_tf.dataset.check.remarks import ERROR, WARNING, lines_of
    from liverseg_tf.dataset.check.summary import summarise

    spec, cases = tile_spec(options), find_corrected_cases(dataset, options)
    given = ctx.get_parameter_source("regions") != click.core.ParameterSource.DEFAULT
    expected, about = _expectation(dataset, regions if given else None, spec)
    with progress("check", len(cases)) as show:
        ended = iter(range(1, len(cases) + 1))
        checked = check_cases(
            cases, expected, options["workers"], lambda name: show(next(ended), name)
        )
    checked.remarks[:0] = about
    figures = summarise(checked, expected)
    takes = _estimate(cases, checked, spec)
    aside = json is not None and str(json) == "-"
    for line in lines_of(checked.remarks):
        click.echo(line, err=aside)
    _print_table(figures, aside)
    if takes is not None:
        click.echo(_what_it_takes(takes, options), err=aside)
    if json is not None:
        _write(json, checked, figures, takes)
    errors, warnings = checked.count(ERROR), checked.count(WARNING)
    click.echo(f"{len(cases)} cases: {errors} errors, {warnings} warnings", err=aside)
    end_with(errors)


def _expectation(dataset, regions, spec):
    from liverseg_tf.dataset.check.rules import expect
    from liverseg_tf.dataset.description import describe

    return expect(describe(dataset), regions, spec.percentiles is not None, spec.channel)


def _estimate(cases, checked, spec):
    from liverseg_tf.tiles.estimate import estimate_store

    return estimate_store(cases, checked, spec)


def _print_table(figures, aside: bool) -> None:
    from rich.console import Console

    from liverseg_tf.dataset.check.summary import summary_table

    if figures:
        Console(stderr=aside).print(summary_table(figures))


def _what_it_takes(takes, options) -> str:
    workers = 1 if options["workers"] is None else options["workers"].count
    whole = options["storage"] == "hdf5" and not options["compress"]
    return (
        f"preprocess takes {'' if whole else 'at most '}{_size(takes.store_bytes)} on the disk, "
        f"{_size(takes.process_bytes)} of memory for each\nprocess, "
        f"about {takes.seconds_with(workers):.0f} s with {workers} of them."
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{max(0.1, count / 1e6):.3g} MB"


def _write(path: Path, checked, figures, takes) -> None:
    from dataclasses import asdict

    from liverseg_tf.atomic import write_json
    from liverseg_tf.dataset.check.summary import check_to_json

    found = check_to_json(checked, figures)
    found["estimate"] = None if takes is None else asdict(takes)
    if str(path) == "-":
        click.echo(json_module.dumps(found, indent=2))
    else:
        write_json(path, found)
