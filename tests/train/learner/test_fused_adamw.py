import keras
import numpy as np
import tensorflow as tf

from liverseg_tf.train.learner.fused_adamw import FusedAdamW


def test_weights_and_state_are_those_of_the_optimizer_of_keras():
    rng = np.random.default_rng(0)
    shapes = {"kernel": (3, 2), "bias": (4,)}
    initial = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    steps = [[tf.constant(rng.normal(size=s), tf.float32) for s in shapes.values()] for _ in "123"]
    results = []
    for kind in (FusedAdamW, keras.optimizers.AdamW):
        variables = [keras.Variable(value, name=name) for name, value in initial.items()]
        optimizer = kind(0.1, weight_decay=0.5, global_clipnorm=1.0)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(variables)
        for gradients in steps:
            optimizer.apply(gradients, variables)
        results.append([np.asarray(v) for v in (*variables, *optimizer.variables)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
