"""Learning with TensorFlow: on a processor, a GPU, all GPUs of a host, or several hosts."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from keras import layers

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.train.data.pipeline import Shards
from liverseg_tf.train.learner.components import TrainingComponents, ema_rate
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.learner.hosts import Hosts
from liverseg_tf.train.settings import TrainSettings


class TensorFlowLearner:
    """A `Learner` whose batches are shared by the replicas of one or several hosts.

    The loss is that of the whole batch, whatever the number of replicas: sums of Dice and
    gradients go through all of them, and so do the moments of batch normalisation. `model.fit`
    can't do that across hosts (keras-team/keras#20585), a step of one's own can.

    Args:
        network: channels and regions.
        settings: of the run.
        hardware: what it is computed with.
        hosts: whose devices share the batches.
    """

    def __init__(
        self,
        network: NetworkSpec,
        settings: TrainSettings,
        hardware: Hardware,
        hosts: Hosts,
    ):
        self.hosts = hosts
        replicas = hosts.strategy.num_replicas_in_sync
        normalisation = _SharedBatchNormalization if replicas > 1 else FusedBatchNormalization
        with hosts.strategy.scope():
            self.parts = TrainingComponents.make(
                network, settings, hardware, replicas, normalisation
            )
            # XLA has no sums over replicas
            compiled = hardware.compiled and replicas == 1
            self._learn = tf.function(self._learn, autograph=False, jit_compile=compiled)
        self._means = []
        if settings.ema_decay:
            self._means = [tf.Variable(w, trainable=False) for w in self._weights()]
        self._count = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._step = tf.function(self._step, autograph=False)

    def step(self, image, truth, rate: float) -> tf.Tensor:
        """See `Learner`; with several replicas image and truth are values of each."""
        self.parts.optimizer.learning_rate = rate
        return self._step(image, truth)

    def inference_weights(self) -> list[np.ndarray]:
        """See `Learner`."""
        if self._means:
            return [mean.numpy() for mean in self._means]
        return self._weights()

    def batches(self, make: Callable[[Shards], tf.data.Dataset]) -> Iterator:
        """See `Learner`."""
        hosts = self.hosts
        if hosts.strategy.num_replicas_in_sync == 1:
            return iter(make(Shards()))
        local = hosts.local_replicas
        shards = Shards(hosts.index * local, local, hosts.strategy.num_replicas_in_sync)
        return iter(hosts.strategy.distribute_datasets_from_function(lambda context: make(shards)))

    def state(self) -> list[np.ndarray]:
        """See `Learner`."""
        return [np.asarray(variable) for variable in self._variables()]

    def load_state(self, state: Sequence[np.ndarray]) -> None:
        """See `Learner`."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def total(self, counts: np.ndarray) -> np.ndarray:
        """See `Learner`."""
        if self.hosts.count == 1:
            return counts
        local = self.hosts.local_replicas

        def of(context):
            # every replica of a host has the same counts; one of them is enough
            mine = context.replica_id_in_sync_group % local == 0
            return tf.constant(counts if mine else np.zeros_like(counts))

        values = self.hosts.strategy.experimental_distribute_values_from_function(of)
        return self._sum(values).numpy()

    def _variables(self) -> list:
        return [
            *self.parts.model.variables,
            *self.parts.optimizer.variables,
            *self._means,
            self._count,
        ]

    def _weights(self) -> list[np.ndarray]:
        return [np.asarray(weight) for weight in self.parts.model.weights]

    def _step(self, image, truth):
        losses = self.hosts.strategy.run(self._learn, args=(image, truth))
        self._count.assign_add(1)
        if self._means:
            rate = ema_rate(self.parts.settings.ema_decay, tf.cast(self._count, tf.float32))
            for mean, weight in zip(self._means, self.parts.model.weights, strict=True):
                mean.assign_add(rate * (tf.convert_to_tensor(weight.value) - mean))
        return self._sum(losses)

    def _sum(self, values):
        return self.hosts.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None)

    def _learn(self, image, truth):
        """One replica's share of a step."""
        replicas = self.hosts.strategy.num_replicas_in_sync
        model, optimizer = self.parts.model, self.parts.optimizer
        with tf.GradientTape() as tape:
            loss = self.parts.loss(truth, model(image, training=True), _total(replicas)) / replicas
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [v.value for v in model.trainable_variables])
        if replicas > 1:
            # the optimizer clips what it is given and then adds up
            gradients = [g / replicas for g in _sum_over_replicas(gradients)]
        optimizer.apply(gradients, model.trainable_variables)
        return loss


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation by TensorFlow's fused kernel while it learns; Keras' own has a dozen.

    The same but for rounding, and the unbiased variance in the moving one.
    """

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1 - self.momentum))
        return outputs


class _SharedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation with the moments of the whole batch, over all replicas."""

    def __init__(self, **options):
        super().__init__(**options, synchronized=True)


def _total(replicas: int):
    return _sum_over_replicas if replicas > 1 else lambda sums: sums


def _sum_over_replicas(values):
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
