"""Options of `liverseg phantom` for lesions in the organs of real patients."""

from pathlib import Path

import click

from liverseg_tf.choices import LESION_KINDS, LESION_PHASES, LESION_PLACES
from liverseg_tf.cli.shared.command import exit_if_failed
from liverseg_tf.cli.shared.lookalike_options import lookalike_options
from liverseg_tf.cli.shared.options import FOLDER, combine_options
from liverseg_tf.cli.shared.progress import progress
from liverseg_tf.cli.shared.terminal import print_error, say
from liverseg_tf.plural import count as count_of

_OF_PHANTOMS = ("count", "shape", "spacing", "organs", "modality", "layout")
_OF_LESIONS = ("lesion_", "organ_", "lookalikes", "cysts_")

lesion_options = combine_options(
    click.option(
        "--lesions-in",
        type=FOLDER,
        metavar="DATASET",
        help="Draw lesions into the CTs of this data set instead of making patients, and write a "
        "data set of the same layout. --tumours is then their number (random by default, 1 to 10).",
    ),
    click.option(
        "--organ-label",
        "organ_labels",
        type=click.IntRange(1, 255),
        multiple=True,
        metavar="LABEL",
        default=(1,),
        help="With --lesions-in: label of the organ. Repeatable.",
    ),
    click.option(
        "--lesion-label",
        type=click.IntRange(1, 255),
        metavar="LABEL",
        default=2,
        help="With --lesions-in: label of the lesions.",
    ),
    click.option(
        "--lesion-diameter",
        type=(float, float),
        metavar="MIN MAX",
        default=(4.0, 60.0),
        help="With --lesions-in: smallest and largest diameter in mm.",
    ),
    click.option(
        "--lesion-phase",
        type=click.Choice(LESION_PHASES),
        default="portal",
        help="With --lesions-in: phase of the contrast agent.",
    ),
    click.option(
        "--lesion-place",
        type=click.Choice(LESION_PLACES),
        default="any",
        help="With --lesions-in: anywhere in the organ, away from its surface, or bulging it.",
    ),
    click.option(
        "--lesion-kind",
        "lesion_kinds",
        type=click.Choice(LESION_KINDS),
        multiple=True,
        show_default="all",
        help="With --lesions-in: kind of the lesions. Repeatable.",
    ),
    *lookalike_options("With --lesions-in: "),
)


def check_lesion_options(ctx: click.Context, lesions_in: Path | None) -> None:
    """Refuse options that would have no effect.

    Raises:
        click.UsageError: If one of the options of phantoms was given with --lesions-in, or one of
            the options of lesions without.
    """
    typed = click.core.ParameterSource.COMMANDLINE  # a file of settings may be for other commands
    given = [name for name in ctx.params if ctx.get_parameter_source(name) is typed]
    others = [name for name in given if name.startswith(_OF_LESIONS)]
    if lesions_in is not None:
        others = [name for name in given if name in _OF_PHANTOMS]
    if others:
        option = next(one for one in ctx.command.params if one.name == others[0]).opts[0]
        word = "without" if lesions_in is None else "together with"
        raise click.UsageError(
            f"Expected no {option} {word} --lesions-in. Received it: it would have no effect."
        )


def add_lesions_to(dataset: Path, out: Path, seed: int, count: int | None, values: dict) -> None:
    """Draw lesions into the cases of a data set, and print what was drawn.

    Args:
        dataset: Folder of the data set.
        out: Folder for the new one.
        seed: Random seed.
        count: Number of lesions in each patient; None for a random one.
        values: Values of the other options of lesions.
    """
    from liverseg_tf.dataset.cases import find_cases
    from liverseg_tf.dataset.labelled_slices import find_labelled_slices, folders_of
    from liverseg_tf.dataset.reading import read_case
    from liverseg_tf.errors import LiverSegError, SettingsError
    from liverseg_tf.phantom.lesions.spec import LesionSpec
    from liverseg_tf.phantom.lesions.write_case import LesionWriter, describe

    if count == 0:
        raise SettingsError("Expected at least 1 tumour together with --lesions-in. Received 0.")
    limits = {} if count is None else {"count": (count, count)}
    kinds = values["lesion_kinds"] or LESION_KINDS
    spec = LesionSpec(
        organ=tuple(values["organ_labels"]),
        lesion=values["lesion_label"],
        diameter_mm=values["lesion_diameter"],
        phase=values["lesion_phase"],
        place=values["lesion_place"],
        kinds=tuple(kinds),
        lookalikes=tuple(values["lookalikes"]),
        cysts_are_lesions=values["cysts_are_lesions"],
        **limits,
    )
    cases = {case.name: case for case in find_cases(dataset)}
    sources = {
        name: (case.image if isinstance(case.image, Path) else None, case.mask)
        for name, case in cases.items()
        if case.mask is not None
    }
    if not sources:
        raise LiverSegError(
            f"Expected cases with masks in {dataset}, since lesions are drawn in an organ. "
            "Received images only."
        )
    slice_list = find_labelled_slices(folders_of(dataset))
    if slice_list is not None:
        raise LiverSegError(
            f"Expected masks that label every slice, since lesions are drawn in whole organs. "
            f"Received {slice_list}, by which some slices are unlabelled."
        )
    writer = LesionWriter(dataset, out, sources, seed, spec)
    failures = 0
    with progress("lesions", len(sources)) as show:
        for number, name in enumerate(sources, 1):
            try:
                writer.write(name, *read_case(cases[name]))
            except LiverSegError as error:
                failures += 1
                print_error(str(error.about(name)))
            show(number, name)
    writer.finish()
    without = len(cases) - len(sources)
    if without:
        verb = "has" if without == 1 else "have"
        text = f"{count_of(without, 'case')} {verb} no mask"
        say(f"Note: {text}: lesions are drawn in an organ.", err=True)
    others = sum(map(len, writer.lookalikes.values()))
    beside = f" and {count_of(others, 'lookalike')}" if others else ""
    say(f"{describe(writer.records)}{beside} in {count_of(len(writer.records), 'case')}: {out}")
    exit_if_failed(failures)
