"""What dataset.json gives to commands that have no --region."""

from pathlib import Path

import click

from liverseg_tf.cli.shared.terminal import say


def take_described_labels(truth: Path, regions, ignored: int | None, protocol: str):
    """Take regions and the label to ignore from the data set to which masks belong.

    Args:
        truth: Ground truth: a data set, or its folder labelsTr or labelsTs.
        regions: `Regions` of --region; None if it is not given.
        ignored: Label of --ignore; None if it is not given.
        protocol: Name of the protocol. That of LiTS fixes the regions; those of the Decathlon and
            of nnU-Net score each label.

    Returns:
        Regions, or None for those of the protocol, and the label to ignore, or None.

    Raises:
        LiverSegError: If the dataset.json is wrong.
        SettingsError: If --ignore contradicts it.
    """
    from liverseg_tf.dataset.description import read_description

    parts = ("labelsTr", "labelsTs")
    description = read_description(truth.absolute().parent if truth.name in parts else truth)
    for issue in description.find_issues([], ignored):
        if issue.kind == "ignore":
            say(f"Note: {issue.line}", err=True)
    ignored = description.choose_ignored(ignored)
    described = description.learnt_regions
    if regions is None and protocol != "lits" and described is not None:
        regions = described if protocol == "default" else description.regions
        _say_regions(regions)
    return regions, ignored


def take_stored_regions(settings, store):
    """Replace the regions by those that dataset.json names, unless --region is given.

    Args:
        settings: `TrainSettings` from the options of the command.
        store: Tile store, with the names in its `regions`.

    Returns:
        The settings with these regions.

    Raises:
        SettingsError: If they share a label with --auxiliary.
    """
    from dataclasses import replace

    source = click.get_current_context().get_parameter_source("regions")
    if store.regions is None or source != click.core.ParameterSource.DEFAULT:
        return settings
    _say_regions(store.regions)
    return replace(settings, regions=store.regions)


def _say_regions(regions) -> None:
    say(
        f"Note: the regions are those of dataset.json: {regions} (--region chooses others).",
        err=True,
    )
