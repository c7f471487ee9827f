"""The optimizer AdamW with TensorFlow's own kernel."""

import keras
import tensorflow as tf
from keras import ops


class FusedAdamW(keras.optimizers.AdamW):
    """AdamW that updates a weight and its two moments in one pass.

    Formula and state are those of Keras' optimizer, which takes a dozen passes over each weight.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update a weight; see Keras' optimizer."""
        dtype, index = variable.dtype, self._get_variable_index(variable)
        beta_1, beta_2 = (ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2))
        step = ops.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(beta_1, step),
            beta2_power=ops.power(beta_2, step),
            lr=ops.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=ops.cast(self.epsilon, dtype),
            grad=ops.cast(gradient, dtype),
        )
