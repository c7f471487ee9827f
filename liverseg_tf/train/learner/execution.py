"""How a run is executed: hardware, hosts and progress reports."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.settings import TrainSettings


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is.

    Args:
        share: of the run that is over, 0..1.
        epoch: from 1.
        loss: mean over the epoch so far.
        dice: best validation Dice so far, mean over the regions; NaN before the first.
    """

    share: float
    epoch: int
    loss: float
    dice: float


@dataclass(frozen=True)
class ExecutionOptions:
    """How a run goes, which doesn't change what is learnt, but for rounding.

    Args:
        hardware: precision and compilation; what suits the machine if None.
        hosts: whose devices learn together (`hosts.Hosts`); this one's if None.
        report: called about every second.
        started: `time.monotonic()` when the budget of `minutes` began; now if None.
        tensorboard: whether the run holds files for it.
    """

    hardware: Hardware | None = None
    hosts: object = None
    report: Callable[[TrainingProgress], None] = lambda progress: None
    started: float | None = None
    tensorboard: bool = False


def with_hosts(settings: TrainSettings, way: ExecutionOptions) -> ExecutionOptions:
    """The way with its hosts, checked: JAX has none, it learns on one device."""
    if keras.backend.backend() != "tensorflow":
        return way
    if way.hosts is None:
        from liverseg_tf.train.learner.hosts import this_host

        way = replace(way, hosts=this_host())
    replicas = way.hosts.strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise SettingsError(
            f"Expected a batch size that {replicas} devices can share. "
            f"Received {settings.batch_size}."
        )
    if settings.minutes is not None and way.hosts.count > 1:
        raise SettingsError(
            "Expected epochs for several hosts, whose clocks differ. "
            f"Received {settings.minutes:g} minutes."
        )
    return way
