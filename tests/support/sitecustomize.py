"""Python imports this module at start-up; see `training_hook.py`."""

import training_hook

training_hook.install()
