"""`liverseg models`: the model bundles on this machine, their cards and their self-tests."""

import click

from liverseg_tf.choices import MODEL_ACTIONS
from liverseg_tf.cli.shared.command import command, exit_if_failed
from liverseg_tf.cli.shared.terminal import print_error, say
from liverseg_tf.errors import LiverSegError


@command("models")
@click.argument("action", type=click.Choice(MODEL_ACTIONS), default="list")
@click.argument("name", required=False)
def models(action, name) -> None:
    """List model bundles, show their cards, and test them.

    \b
    liverseg models              lists the packaged and the cached models
    liverseg models show NAME    prints the model card
    liverseg models test [NAME]  runs the self-test of one or of all models

    NAME is a name of the list, or whatever --model takes as a bundle: a file, or an address, whose
    model is downloaded. Cached models are in the folder of the variable LIVERSEG_CACHE.
    """
    from liverseg_tf.predict.bundles.cache import list_bundles

    if action == "list":
        if name is not None:
            raise click.UsageError(f"Expected no NAME with list. Received {name}.")
        _list(list_bundles())
    elif action == "show":
        if name is None:
            raise click.UsageError("Missing the NAME of a model. `liverseg models` lists them.")
        _show(_find(name))
    else:
        found = list_bundles() if name is None else ()
        _test([one.folder for one in found] if name is None else [_find(name)])


def _list(found) -> None:
    from liverseg_tf.predict.bundles.cache import VARIABLE, cache_folder

    for one in found:
        record = one.record
        place = one.place if not one.key else f"{one.place} @{one.key[:8]}"
        say(
            f"{record.name:<20}  {record.version:<8}  {place:<16}  {record.modality}: "
            f"{', '.join(record.regions)}; {record.licence}"
        )
    if not found:
        say("There are no models yet: the package comes without one, and none has been used.")
    say(f"Cache: {cache_folder()} (variable {VARIABLE})", err=True)


def _find(name: str):
    """Return the folder of a bundle."""
    from liverseg_tf.predict.bundles.locate import locate_model

    located = locate_model(name)
    if located.bundle is None:
        raise LiverSegError(
            f"Expected the name, the file or the address of a model bundle. Received {name}: "
            "`liverseg models` lists the names, and `liverseg pack` makes a bundle of a run."
        )
    return located.path


def _show(folder) -> None:
    from liverseg_tf.model.bundle.bundle_record import CARD_FILE, LICENCE_FILE
    from liverseg_tf.model.bundle.card import without_front_matter

    card = (folder / CARD_FILE).read_text(encoding="utf-8", errors="backslashreplace")
    say(*without_front_matter(card).splitlines())
    say(f"Licence: {folder / LICENCE_FILE}", err=True)


def _test(folders) -> None:
    if not folders:
        say("There are no models to test.")
        return
    from liverseg_tf.cli.shared.tensorflow import import_backend
    from liverseg_tf.predict.bundles.open_bundle import open_folder

    records = {folder: open_folder(folder) for folder in folders}
    import_backend()
    from liverseg_tf.predict.bundles.self_test import run_self_test
    from liverseg_tf.predict.models.run import RunPredictor

    failures = 0
    for folder, record in records.items():
        try:
            dice = run_self_test(folder, record, RunPredictor(folder))
        except LiverSegError as error:
            print_error(str(error))
            failures += 1
            continue
        scores = ", ".join(
            f"{region} {'empty, as expected' if value != value else f'{value:.4f}'}"
            for region, value in dice.items()
        )
        say(f"{record.name} {record.version}: passed (Dice with the expected mask: {scores})")
    exit_if_failed(failures)
