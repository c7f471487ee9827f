"""The parts of a training step: network, loss and optimizer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import keras
from keras import layers, ops

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.network.choose import unet_spec
from liverseg_tf.train.network.losses import LOSSES, one_replica
from liverseg_tf.train.network.pretrained import load_matching_weights
from liverseg_tf.train.network.unet import UNetSpec, build_training_unet, build_unet
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class TrainingComponents:
    """What a step is made of.

    Args:
        spec: of the network.
        model: of `build_training_unet`, built for `hardware`.
        optimizer: with the variables of the model.
        settings: of the run.
        hardware: what it is computed with.
        unmatched_layers: layers that a run which was to start it has no weights for, a line each.
    """

    spec: UNetSpec
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    settings: TrainSettings
    hardware: Hardware
    unmatched_layers: tuple[str, ...] = ()

    @classmethod
    def make(
        cls,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        replicas: int = 1,
        batch_normalisation: Callable = layers.BatchNormalization,
    ) -> "TrainingComponents":
        """New ones; the weights follow from the seed.

        Args:
            network: channels and regions.
            settings: of the run.
            hardware: what it is computed with.
            replicas: that share a batch.
            batch_normalisation: see `build_training_unet`.
        """
        spec = unet_spec(network, settings)
        keras.utils.set_random_seed(settings.seed)
        with _policy(hardware.policy):
            model = build_training_unet(spec, settings.deep_supervision, batch_normalisation)
        unmatched_layers = (
            ()
            if settings.init_from is None
            else tuple(load_matching_weights(model, settings.init_from))
        )
        optimizer = _optimizer(settings, hardware, replicas)
        # with its variables there, the step's graph is traced once instead of twice (6 s)
        optimizer.build(model.trainable_variables)
        return cls(spec, model, optimizer, settings, hardware, unmatched_layers)

    def loss(self, truth, outputs, total: Callable = one_replica):
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

    def build_inference_model(self, policy: str) -> keras.Model:
        """The network that predicts, computing by a dtype policy; its weights are of no use yet."""
        with _policy(policy):
            return build_unet(replace(self.spec, encoder_weights=None))


def ema_rate(ema_decay: float, step):
    """How far the running mean of the weights moves at a step, counted from 1.

    It begins as the mean of all weights so far, roughly: the first ones are soon forgotten.
    """
    return 1 - ops.minimum(ema_decay, step / (step + 10.0))


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
