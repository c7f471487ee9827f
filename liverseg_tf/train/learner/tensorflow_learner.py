"""Training with TensorFlow: on a CPU, a GPU, all GPUs of a host, or several hosts."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.custom_parts import CustomParts
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.hosts import Hosts
from liverseg_tf.train.learner.memory import out_of_memory
from liverseg_tf.train.learner.tensorflow_layers import (
    ConcatenatedConv2D,
    FusedBatchNormalization,
    SynchronizedBatchNormalization,
)
from liverseg_tf.train.network.layer_classes import LayerClasses, SubpixelConv2DTranspose
from liverseg_tf.train.network.loss_weights import sum_over_one_replica
from liverseg_tf.train.settings import TrainSettings


class TensorFlowLearner:
    """A `Learner` whose batches are shared by the replicas of one or several hosts.

    The loss is that of the whole batch for any number of replicas: the sums of the Dice loss, the
    gradients and the statistics of batch normalisation cover all replicas. `model.fit` cannot do
    this across hosts (keras-team/keras#20585); a custom training step can.

    Args:
        network: Input channels and regions.
        settings: Settings of the run.
        hardware: Precision and compilation.
        hosts: Hosts whose devices share the batches.
        custom: Objects of the caller in place of the loss and the network of the settings.
    """

    def __init__(
        self,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        hosts: Hosts,
        custom: CustomParts = CustomParts(),
    ):
        self.hosts = hosts
        replicas = hosts.strategy.num_replicas_in_sync
        normalisation = SynchronizedBatchNormalization if replicas > 1 else FusedBatchNormalization
        layer_classes = LayerClasses(
            normalisation, SubpixelConv2DTranspose, concatenated_conv2d=ConcatenatedConv2D
        )
        with hosts.strategy.scope():
            self.components = TrainingComponents.make(
                network, settings, hardware, replicas, layer_classes, custom=custom
            )
            # XLA cannot sum over replicas
            compiled = hardware.compiled and replicas == 1
            self._compiled_replica_step = tf.function(
                self._replica_step, autograph=False, jit_compile=compiled
            )
        self._ema = []
        if settings.ema_decay:
            self._ema = [tf.Variable(weight, trainable=False) for weight in self._weights()]
        self._step_count = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._compiled_step = tf.function(self._step, autograph=False)

    def step(self, image, truth, learning_rate: float) -> tf.Tensor:
        """See `Learner`; with several replicas, image and ground truth hold a value for each."""
        self.components.optimizer.learning_rate = learning_rate
        try:
            return self._compiled_step(image, truth)
        except tf.errors.ResourceExhaustedError as error:
            raise out_of_memory() from error

    def batches(self, make: Callable[[Shards], Iterator]) -> Iterator:
        """See `Learner`."""
        strategy, local = self.hosts.strategy, self.hosts.local_replicas
        if strategy.num_replicas_in_sync == 1:
            yield from make(Shards())
            return
        shards = make(Shards(self.hosts.index * local, local, strategy.num_replicas_in_sync))
        while True:
            parts = [next(shards) for _ in range(local)]
            yield tuple(self._distribute(values) for values in zip(*parts, strict=True))

    def _distribute(self, parts: Sequence[tf.Tensor]):
        """Give each replica of this host its part of a batch."""
        return self.hosts.strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group % len(parts)]
        )

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [average.numpy() for average in self._ema] or self._weights()

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [np.asarray(variable) for variable in self._variables()]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def sum_over_hosts(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        if self.hosts.count == 1:
            return counts
        local = self.hosts.local_replicas

        def value_of(context):
            # all replicas of a host have the same counts, so only the first contributes them
            is_first = context.replica_id_in_sync_group % local == 0
            return tf.constant(counts if is_first else np.zeros_like(counts))

        values = self.hosts.strategy.experimental_distribute_values_from_function(value_of)
        return self._reduce_sum(values).numpy()

    def _step(self, image, truth):
        """Train on a batch, update the moving average and return the loss of the whole batch."""
        losses = self.hosts.strategy.run(self._compiled_replica_step, args=(image, truth))
        self._step_count.assign_add(1)
        if self._ema:
            step = tf.cast(self._step_count, tf.float32)
            rate = ema_rate(self.components.settings.ema_decay, step)
            for average, weight in zip(self._ema, self.components.model.weights, strict=True):
                average.assign_add(rate * (tf.convert_to_tensor(weight.value) - average))
        return self._reduce_sum(losses)

    def _replica_step(self, image, truth):
        """Train on one replica's part of a batch and return its share of the loss."""
        replicas = self.hosts.strategy.num_replicas_in_sync
        model, optimizer = self.components.model, self.components.optimizer
        sum_over_replicas = _sum_over_replicas if replicas > 1 else sum_over_one_replica
        with tf.GradientTape() as tape:
            outputs = model(image, training=True)
            loss = self.components.loss(truth, outputs, sum_over_replicas) / replicas
            scaled_loss = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, [v.value for v in model.trainable_variables])
        if replicas > 1:
            # The optimizer clips these gradients on each replica and then adds them up. Each
            # replica therefore gets an equal share of the gradient of the whole batch.
            gradients = [gradient / replicas for gradient in _sum_over_replicas(gradients)]
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    def _reduce_sum(self, values):
        return self.hosts.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    def _variables(self) -> list:
        return [
            *self.components.model.variables,
            *self.components.optimizer.variables,
            *self._ema,
            self._step_count,
        ]

    def _weights(self) -> list[np.ndarray]:
        return [np.asarray(weight) for weight in self.components.model.weights]


def _sum_over_replicas(values):
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
