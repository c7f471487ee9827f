"""Options for lookalikes: structures that look like lesions but are not."""

import click

from liverseg_tf.choices import LOOKALIKE_NAMES, LOOKALIKES


def lookalike_options(condition: str) -> tuple:
    """Return the options.

    Args:
        condition: Start of their help texts, such as "With --lesions-in: ".
    """
    return (
        click.option(
            "--lookalike",
            "lookalikes",
            type=click.Choice(LOOKALIKE_NAMES),
            multiple=True,
            show_default="none",
            callback=_expand,
            help=f"{condition}also draw structures that look like lesions but are not: simple "
            "cysts, focal fat, fissures, vessels without contrast agent, or partial volume at the "
            "dome of the organ. Repeatable.",
        ),
        click.option(
            "--cysts-are-lesions",
            is_flag=True,
            help=f"{condition}give the cysts of --lookalike the label of the lesions.",
        ),
    )


def _expand(ctx: click.Context, param: click.Parameter, values: tuple) -> tuple[str, ...]:
    """Return the kinds without repetitions, in the order of `LOOKALIKES`."""
    return tuple(kind for kind in LOOKALIKES if kind in values or "all" in values)
