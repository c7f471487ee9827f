"""Python imports this module at start-up; see `training_hook.py`."""

import gc

import training_hook

training_hook.install()
# TensorFlow and Keras keep very many objects. Looking for garbage among them after every 700 new
# ones, as Python does, takes a tenth of the time of the tests.
gc.set_threshold(50_000, 10, 10)
