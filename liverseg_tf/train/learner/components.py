"""The components of a training step: network, loss and optimizer."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from keras import ops

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.network.conditional import product_of_outer
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.network.layer_classes import KERAS_LAYERS, LayerClasses
from liverseg_tf.train.network.loss_weights import LossWeights, sum_over_one_replica
from liverseg_tf.train.network.pretrained import load_matching_weights
from liverseg_tf.train.network.unet import UNetSpec, build_training_unet, build_unet
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True, eq=False)
class TrainingComponents:
    """The objects that a training step consists of.

    Args:
        spec: Architecture of the network.
        model: Network for training, made by `build_training_unet` for this hardware.
        optimizer: Optimizer, built for the variables of the model.
        settings: Settings of the run.
        hardware: Precision and compilation.
        unmatched_layers: Layers that got no weights from the run in `init_from`, a line each.
        convert: Function from a model of Keras' layers to the model that is computed.
        custom: Objects of the caller in place of the loss and the network of the settings.
    """

    spec: UNetSpec
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    settings: TrainSettings
    hardware: Hardware
    unmatched_layers: tuple[str, ...] = ()
    convert: Callable[[keras.Model], keras.Model] = lambda model: model
    custom: CustomParts = CustomParts()

    @classmethod
    def make(
        cls,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        replicas: int = 1,
        layer_classes: LayerClasses = KERAS_LAYERS,
        convert: Callable[[keras.Model], keras.Model] = lambda model: model,
        custom: CustomParts = CustomParts(),
    ) -> "TrainingComponents":
        """Make the components of a new run; the initial weights follow from the seed.

        Args:
            network: Input channels and regions.
            settings: Settings of the run.
            hardware: Precision and compilation.
            replicas: Number of replicas that share a batch.
            layer_classes: Keras' layers, or faster ones.
            convert: Function from a model of Keras' layers to a faster one, whose layers have the
                same names and weights.
            custom: Objects of the caller; the weights of a network are its initial weights.

        Raises:
            SettingsError: If the encoder is unknown, or a network of the caller does not fit.
            LiverSegError: If initial weights cannot be read or do not match the network.
        """
        spec = make_unet_spec(network, settings)
        _set_seeds(settings.seed)
        with _dtype_policy(hardware.policy):
            if custom.model is None:
                model = build_training_unet(spec, settings.deep_supervision, layer_classes)
            else:
                model = custom.training_model(network)
            model = convert(model)
        unmatched_layers = (
            ()
            if settings.init_from is None
            else tuple(load_matching_weights(model, Path(settings.init_from), spec.outputs))
        )
        optimizer = _make_optimizer(settings, hardware, replicas)
        # If the optimizer's variables exist before the first step, its graph is traced once
        # instead of twice, which saves 6 seconds.
        optimizer.build(model.trainable_variables)
        return cls(spec, model, optimizer, settings, hardware, unmatched_layers, convert, custom)

    def loss(self, truth, outputs, sum_over_replicas: Callable = sum_over_one_replica):
        """Compute the loss of a batch: the weighted mean of the losses of all outputs.

        With deep supervision, the weight of an output is half that of the next finer one.

        The auxiliary regions together count `auxiliary_weight` as much as all other regions
        together.

        Args:
            truth: Ground truth (batch, h, w, regions), 0 or 1; or int8 with -1 where a region is
                not labelled, which carries no loss.
            outputs: Outputs of the model: one tensor, or a list of tensors, the finest first. They
                are logits, except those of a network of the caller that returns probabilities.
            sum_over_replicas: Function that adds up an array over the replicas that share the
                batch.

        Returns:
            Scalar, float32.
        """
        outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
        outputs = [self.custom.compute_logits(values) for values in outputs]
        loss = self.custom.loss_function(self.settings.loss)
        region_weights = self._region_weights()
        is_partial = keras.backend.standardize_dtype(truth.dtype) == "int8"
        labelled = ops.cast(truth >= 0, "float32") if is_partial else None
        truth = ops.cast(ops.maximum(truth, 0) if is_partial else truth, "float32")
        if any(self.spec.inside):
            learnt = product_of_outer(truth, self.spec.inside)
            labelled = learnt if labelled is None else labelled * learnt
        level_weights = [0.5**level for level in range(len(outputs))]
        total = 0
        for level, (weight, logits) in enumerate(zip(level_weights, outputs, strict=True)):
            level_truth, level_labelled = self._downsample(truth, labelled, level)
            weights = LossWeights(region_weights, level_labelled, sum_over_replicas)
            total += weight / sum(level_weights) * loss(level_truth, logits, weights)
        return total

    def _region_weights(self) -> np.ndarray | None:
        """Weights (regions,) of the regions; None without auxiliary regions."""
        if self.settings.auxiliary is None:
            return None
        auxiliary = len(self.settings.auxiliary)
        regions = len(self.spec.outputs) - auxiliary
        weights = [1 / regions] * regions
        weights += [self.settings.auxiliary_weight / auxiliary] * auxiliary
        return np.array(weights, np.float32)

    def _downsample(self, truth, labelled, level: int):
        """Average ground truth and weights of the voxels over the pixels of a coarser level.

        An average, unlike the nearest value, preserves regions smaller than such a pixel. The
        ground truth is averaged where it is known.
        """
        size = self.spec.patch * 2**level
        if not level:
            return truth, labelled
        pooled = ops.average_pool(truth, size, size)
        if labelled is None:
            return pooled, None
        known = ops.average_pool(labelled, size, size)
        return pooled / ops.where(known > 0, known, 1.0), known

    def build_inference_model(self, policy: str) -> keras.Model:
        """Build the network for inference; its weights are random and have to be replaced.

        It has no outputs for the auxiliary regions, which come last.

        Args:
            policy: Keras dtype policy of its layers.
        """
        if self.custom.model is not None:
            return self.custom.inference_model(self.spec.channels, len(self.spec.outputs))
        auxiliary = () if self.settings.auxiliary is None else self.settings.auxiliary.names
        outputs = self.spec.outputs[: len(self.spec.outputs) - len(auxiliary)]
        with _dtype_policy(policy):
            return build_unet(replace(self.spec, outputs=outputs, encoder_weights=None))


def ema_rate(ema_decay: float, step, minimum: Callable = ops.minimum):
    """Return the update rate of the exponential moving average of the weights.

    average += rate * (weights - average), with rate = 1 - min(ema_decay, step / (step + 10)). The
    decay starts small, so that the average forgets the initial weights within a few steps.

    Args:
        ema_decay: Final decay, 0 to 1.
        step: Number of the step, counted from 1.
        minimum: Function that returns the smaller one of two numbers.
    """
    return 1 - minimum(ema_decay, step / (step + 10.0))


def _set_seeds(seed: int) -> None:
    """Seed the generators of initial weights and dropout.

    Keras would import TensorFlow with any backend, if it is installed.
    """
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    # Keras draws the seeds of its layers from the first of them.
    random.seed(seed)
    np.random.seed(seed)


def _make_optimizer(settings: TrainSettings, hardware: Hardware, replicas: int):
    common = {
        "learning_rate": settings.max_learning_rate,
        "weight_decay": settings.weight_decay,
        # Each replica clips its own gradient before the gradients are added up. The norm of the
        # sum is then at most `clip_norm`.
        "global_clipnorm": settings.clip_norm / replicas,
    }
    if settings.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.99, nesterov=True, **common)
    elif keras.backend.backend() == "tensorflow":
        from liverseg_tf.train.learner.fused_adamw import FusedAdamW

        optimizer = FusedAdamW(**common)
    else:
        optimizer = keras.optimizers.AdamW(**common)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    if hardware.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Give all layers that are made inside the block a dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
