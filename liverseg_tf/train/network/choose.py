"""The network that the settings of a run describe."""

from dataclasses import replace

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.tiles.store import TileStore
from liverseg_tf.train.network.encoders import DEPTH
from liverseg_tf.train.network.unet import UNetSpec
from liverseg_tf.train.settings import TrainSettings


def unet_spec(network: NetworkSpec, settings: TrainSettings) -> UNetSpec:
    """The network that settings ask for."""
    return UNetSpec(
        channels=network.channels,
        outputs=tuple(network.regions.names),
        base_filters=settings.base_filters,
        depth=settings.depth if settings.encoder is None else DEPTH,
        normalisation=settings.normalisation,
        dropout=settings.dropout,
        residual=settings.residual,
        attention=settings.attention,
        patch=settings.patch,
        encoder=settings.encoder,
        encoder_weights=settings.encoder_weights,
    )


def network_spec(store: TileStore, settings: TrainSettings) -> NetworkSpec:
    """What a network takes and gives that learns from a store."""
    network = NetworkSpec(
        store.spec,
        settings.regions,
        settings.context,
        context_spacing_mm=settings.context_spacing_mm,
    )
    return replace(network, stride=unet_spec(network, settings).stride)
