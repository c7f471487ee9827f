"""What learns: the network, its loss and its optimizer, and the weights that are kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import keras
import numpy as np
from keras import layers, ops

from liverseg_tf.tiles.network import NetworkSpec
from liverseg_tf.train.encoders import DEPTH
from liverseg_tf.train.hardware import Hardware
from liverseg_tf.train.losses import LOSSES, alone
from liverseg_tf.train.settings import TrainSettings
from liverseg_tf.train.transfer import take_weights
from liverseg_tf.train.unet import UNetSpec, build_learning_unet, build_unet


class Learner(Protocol):
    """A network that learns batch by batch, on TensorFlow or JAX.

    `step` returns before the loss is there, which `float` waits for. `state` holds every number
    that the next step depends on, and `load_state` goes on from it.
    """

    parts: "Parts"

    def step(self, image, truth, rate: float) -> object:
        """Learn from a batch at a learning rate; the loss before it."""

    def batches(self, make: Callable) -> Iterator:
        """Pairs for `step`, of the tf.data.Dataset that `make` returns for some `Shards`."""

    def kept_weights(self) -> list[np.ndarray]:
        """The weights that are validated and kept: their running mean, if there is one."""

    def state(self) -> list[np.ndarray]:
        """Weights, states of random draws, the optimizer's, and the running mean."""

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """Go on from what `state` returned."""

    def total(self, counts: np.ndarray) -> np.ndarray:
        """An array, added up over the hosts that learn together."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a step is made of.

    Args:
        spec: of the network.
        model: of `build_learning_unet`, built for `hardware`.
        optimizer: with the variables of the model.
        settings: of the run.
        hardware: what it is computed with.
        unfit: layers that a run which was to start it has no weights for, a line each.
    """

    spec: UNetSpec
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    settings: TrainSettings
    hardware: Hardware
    unfit: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        replicas: int = 1,
        batch_normalisation: Callable = layers.BatchNormalization,
    ) -> "Parts":
        """New ones; the weights follow from the seed.

        Args:
            network: channels and regions.
            settings: of the run.
            hardware: what it is computed with.
            replicas: that share a batch.
            batch_normalisation: see `build_learning_unet`.
        """
        spec = unet_spec(network, settings)
        keras.utils.set_random_seed(settings.seed)
        with _policy(hardware.policy):
            model = build_learning_unet(spec, settings.heads, batch_normalisation)
        unfit = () if settings.start is None else tuple(take_weights(model, settings.start))
        optimizer = _optimizer(settings, hardware, replicas)
        # with its variables there, the step's graph is traced once instead of twice (6 s)
        optimizer.build(model.trainable_variables)
        return cls(spec, model, optimizer, settings, hardware, unfit)

    def loss(self, truth, outputs, total: Callable = alone):
        """The loss of a batch, over all heads: each counts half as much as the finer one.

        Args:
            truth: (batch, h, w, regions) 0 or 1.
            outputs: of the model.
            total: adds sums up over the replicas that share the batch.
        """
        heads = outputs if isinstance(outputs, list | tuple) else [outputs]
        loss, truth = LOSSES[self.settings.loss], ops.cast(truth, "float32")
        weights = [0.5**level for level in range(len(heads))]
        return sum(
            weight / sum(weights) * loss(self._at_level(truth, level), logits, total)
            for level, (weight, logits) in enumerate(zip(weights, heads, strict=True))
        )

    def _at_level(self, truth, level: int):
        """Shares of the coarser pixels, so that small regions stay."""
        size = self.spec.patch * 2**level
        return ops.average_pool(truth, size, size) if level else truth

    def finished_model(self, policy: str) -> keras.Model:
        """The network that predicts, computing by a dtype policy; its weights are of no use yet."""
        with _policy(policy):
            return build_unet(replace(self.spec, encoder_weights=None))


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


def averaging_rate(average: float, step):
    """How far the running mean of the weights moves at a step, counted from 1.

    It begins as the mean of all weights so far, roughly: the first ones are soon forgotten.
    """
    return 1 - ops.minimum(average, step / (step + 10.0))


def _optimizer(settings: TrainSettings, hardware: Hardware, replicas: int):
    # clipped by each replica before their sum, which therefore reaches the norm that is meant
    common = {
        "learning_rate": settings.peak_rate,
        "weight_decay": settings.weight_decay,
        "global_clipnorm": settings.clip_norm / replicas,
    }
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.99, nesterov=True, **common)
    else:
        optimizer = keras.optimizers.AdamW(**common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    if hardware.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@contextmanager
def _policy(name: str) -> Iterator[None]:
    """Layers that are made meanwhile compute by a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
