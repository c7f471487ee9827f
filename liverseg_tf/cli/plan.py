"""`liverseg plan`: settings for a data set and this machine."""

from pathlib import Path

import click
from click.core import ParameterSource

from liverseg_tf.choices import DEVICES, MODALITIES
from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.data_options import (
    check_settings,
    dataset_options,
    find_corrected_cases,
)
from liverseg_tf.cli.shared.options import FOLDER, accept_rule, json_option, region, workers_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say, say_table, write_results
from liverseg_tf.plan.setting import TILE_SECTIONS
from liverseg_tf.plural import count

# options of `dataset_options` that the plan repeats, and the commands that have them
_EVERYWHERE = (*TILE_SECTIONS, "evaluate")
_REPEATED = {
    "layout": ("layout", TILE_SECTIONS),
    "orientations": ("orientation", TILE_SECTIONS),
    "spacings": ("spacing-of", TILE_SECTIONS),
    "same_voxels": ("same-voxels", TILE_SECTIONS),
    "accepted": ("accept", TILE_SECTIONS),
    "segments": ("segment", _EVERYWHERE),
    "labelled": ("labelled", _EVERYWHERE),
    "slice_list": ("labelled-slices", _EVERYWHERE),
    "ignored": ("ignore", _EVERYWHERE),
}


@command("plan")
@click.argument("dataset", type=FOLDER)
@region
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="TOML",
    default="plan.toml",
    help="File of the plan, for --config.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    show_default="epochs, from the number of slices",
    help="Training time that you have.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    show_default="that of this machine",
    help="What trains, if it is another machine than this one.",
)
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    show_default="free memory of the GPU, or memory of this machine",
    help="Memory of the device.",
)
@click.option(
    "--modality",
    type=click.Choice(MODALITIES),
    show_default="from dataset.json, DICOM headers and the values",
    help="CT in HU, or MR in arbitrary units.",
)
@dataset_options
@accept_rule
@json_option
@workers_options("Number of processes.")
@click.pass_context
def plan(
    ctx, dataset, out, overwrite, minutes, device, memory, modality, json, workers, **options
) -> None:
    """Plan the settings for a data set and this machine.

    Every case of DATASET is read once. What the settings depend on (spacings, sizes, HU and extents
    of the regions, number of slices) and the memory of the machine give the window, the spacing and
    the shape of the tiles, the network and the batch. Each setting is printed with its reason, and
    written to a TOML file:

    \b
        liverseg plan DATASET --out plan.toml
        liverseg --config plan.toml preprocess DATASET STORE
        liverseg --config plan.toml train STORE RUN

    Cases that `liverseg check` refuses are named and left out; the exit code is then 1. Without
    --region, the regions are the labels of dataset.json, and an organ includes its tumours.
    """
    from dataclasses import replace

    from liverseg_tf.atomic import replacing
    from liverseg_tf.plan.measure_dataset import measure_dataset
    from liverseg_tf.plan.write_plan import plan_to_json, plan_to_toml

    if out.exists() and not overwrite:
        raise click.UsageError(
            f"Expected a new file for the plan. Received {out}, which exists: use --overwrite to "
            "replace it."
        )
    cases = find_corrected_cases(dataset, options)
    settings = _check_settings(ctx, dataset, cases, modality, options)
    with progress("plan", len(cases)) as show:
        finished = iter(range(1, len(cases) + 1))
        measured = measure_dataset(
            cases, settings, modality, workers, lambda name: show(next(finished), name)
        )
    fingerprint = measured.fingerprint
    machine, made = _make_plan(fingerprint, (device, memory), minutes, options["channel"])
    made = replace(
        made,
        settings=(*made.settings, *_repeat_options(options)),
        notes=(*measured.notes, *made.notes),
    )
    what = f"{count(len(fingerprint.cases), 'case')} ({'CT' if fingerprint.has_hu else 'MR'})"
    title = f"Plan for {what} and {machine}"
    with replacing(out) as partial:
        partial.write_text(plan_to_toml(made, title), encoding="utf-8")
    for name, reason in measured.skipped.items():
        print_error(f"left out: {reason.rstrip('.')} (case {name})")
    _print_plan(made, fingerprint, title, json is not None and str(json) == "-")
    if json is not None:
        write_results(plan_to_json(made, fingerprint), json)
    say(f"Written: {out}; use it as liverseg --config {out} preprocess ...", err=str(json) == "-")
    exit_if_failed(len(measured.skipped))


def _check_settings(ctx, dataset, cases, modality: str | None, options):
    """Return the settings of the check; a modality that dataset.json contradicts is refused."""
    from dataclasses import replace

    from liverseg_tf.ct.intensity import PercentileRange
    from liverseg_tf.ct.region_kinds import nest_lesions
    from liverseg_tf.dataset.check.rules import require_usable
    from liverseg_tf.tiles.spec import TileSpec

    spec = TileSpec(
        percentiles=PercentileRange() if modality == "mr" else None, channel=options["channel"]
    )
    settings, issues = check_settings(ctx, dataset, cases, spec, options)
    if modality == "ct":
        require_usable(issues)
        settings = replace(settings, has_hu=True)
    by_default = ctx.get_parameter_source("regions") is ParameterSource.DEFAULT
    if by_default and not options["labelled"]:  # which names regions of dataset.json
        settings = replace(settings, regions=nest_lesions(settings.regions))
    return settings


def _make_plan(fingerprint, device: tuple[str | None, float | None], minutes, channel):
    """Return the machine and the plan for it."""
    import math
    import os

    from liverseg_tf.cli.shared.tensorflow import import_backend
    from liverseg_tf.ct.size_limit import memory_bytes
    from liverseg_tf.plan.make_plan import Host, make_plan

    import_backend()
    from liverseg_tf.plan.training_memory import estimate_training, find_machine

    kind, gigabytes = device
    here = memory_bytes()
    machine = find_machine(
        kind,
        None if gigabytes is None else gigabytes * 1e9,
        None if math.isinf(here) else here,
    )
    made = make_plan(
        fingerprint,
        machine,
        Host(min(os.cpu_count() or 1, 8), here),
        lambda spec, settings: estimate_training(spec, settings, machine.precision),
        minutes,
        channel,
    )
    return machine, made


def _repeat_options(options) -> list:
    """Return the options with which the data set was read, which later commands need as well."""
    from liverseg_tf.plan.setting import Setting

    reason = "as given to plan"
    settings = []
    for name, (key, sections) in _REPEATED.items():
        value = options[name]
        if value is not None and value != ():
            value = str(value) if isinstance(value, Path) else value
            value = list(value) if isinstance(value, tuple) else value
            settings.append(Setting(key, value, reason, sections))
    if options["form"] is not None:
        is_sform = options["form"] == "sform"
        settings.append(Setting("use-sform", is_sform, reason, _EVERYWHERE))
    return settings


def _print_plan(made, fingerprint, title: str, to_stderr: bool) -> None:
    from liverseg_tf.plan.write_plan import describe_images, fingerprint_table, plan_table

    say(title, describe_images(fingerprint), err=to_stderr)
    say_table(fingerprint_table(fingerprint), to_stderr)
    say_table(plan_table(made), to_stderr)
    for note in made.notes:
        say(f"Note: {note}", err=True)
