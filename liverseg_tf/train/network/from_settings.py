"""The specifications of the network that the settings of a run describe."""

from dataclasses import replace

from liverseg_tf.ct.regions import Regions
from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.network.unet import UNetSpec
from liverseg_tf.train.settings import TrainSettings


def make_unet_spec(network: NetworkSpec, settings: TrainSettings) -> UNetSpec:
    """Make the architecture of the U-Net for training, whose last outputs are auxiliary regions.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
    """
    auxiliary = () if settings.auxiliary is None else settings.auxiliary.names
    return UNetSpec(
        channels=network.channels,
        outputs=(*network.regions.names, *auxiliary),
        base_filters=settings.base_filters,
        depth=settings.levels,
        normalisation=settings.normalisation,
        dropout=settings.dropout,
        residual=settings.residual,
        attention=settings.attention,
        patch=settings.patch,
        stem_filters=settings.stem_filters,
        encoder=settings.encoder,
        encoder_weights=settings.encoder_weights,
        inside=_find_outer(network.regions) if settings.synthetic_lesions else (),
    )


def _find_outer(regions: Regions) -> tuple[tuple[int, ...], ...]:
    """Return `UNetSpec.inside` for nested regions: the numbers of the regions that contain each."""
    return tuple(
        tuple(regions.names.index(outer) for outer in regions.containing(name))
        for name in regions.names
    )


def make_network_spec(store: TileStore, settings: TrainSettings) -> NetworkSpec:
    """Make the specification of input and output of a network that is trained on a store.

    Args:
        store: Store with the tiles.
        settings: Settings of the run.
    """
    network = NetworkSpec(
        store.spec,
        settings.regions,
        settings.context,
        context_spacing_mm=settings.context_spacing_mm,
    )
    return replace(network, stride=make_unet_spec(network, settings).stride)
