"""How a run is executed: hardware, hosts and progress reports."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import keras

from liverseg_tf.errors import SettingsError
from liverseg_tf.train.learner.hardware import Hardware
from liverseg_tf.train.settings import TrainSettings

if TYPE_CHECKING:  # it imports TensorFlow, which the JAX backend does not need
    from liverseg_tf.train.learner.hosts import Hosts


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a run.

    Args:
        fraction: Completed fraction of the run, 0 to 1.
        epoch: Number of the current epoch, counted from 1.
        loss: Mean training loss of this epoch so far; NaN before its first step.
        best_dice: Dice of each region in the best validation so far; empty before the first one.
        steps_per_second: Mean speed without validation; NaN until it is measured.
    """

    fraction: float
    epoch: int
    loss: float
    best_dice: dict[str, float]
    steps_per_second: float


@dataclass(frozen=True)
class ExecutionOptions:
    """Execution options of a run. They affect results only through rounding.

    Args:
        hardware: Precision and compilation. None chooses them for this machine.
        hosts: Hosts whose devices train together. None uses the devices of this host.
        report: Function that is called with the progress about once a second.
        started: Value of `time.monotonic()` when the budget of `minutes` began. None means that
            it begins with the call of `train`.
        tensorboard: Whether to write files for TensorBoard.
        mlflow: Folder or address of a server to which MLflow logs the run; None logs nothing.
        warn: Function that is called with a warning, such as that this server does not answer.
        cache_on_device: Whether to upload the training tiles to the device; see `cache_on_device`.
    """

    hardware: Hardware | None = None
    hosts: "Hosts | None" = None
    report: Callable[[TrainingProgress], None] = lambda progress: None
    started: float | None = None
    tensorboard: bool = False
    mlflow: str | None = None
    warn: Callable[[str], None] = warnings.warn
    cache_on_device: bool | None = None


def check_backend_has_hosts() -> None:
    """Check that the Keras backend can train on several hosts.

    Raises:
        SettingsError: If it cannot.
    """
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            "Expected the Keras backend tensorflow together with --hosts. "
            f"Received {keras.backend.backend()}, which trains on one host."
        )


def resolve_hosts(settings: TrainSettings, execution: ExecutionOptions) -> ExecutionOptions:
    """Fill in the hosts of a run and check that they can share its batches.

    Only the TensorFlow backend trains on several hosts. The JAX backend trains on all devices of
    one host, and the PyTorch backend on one device.

    Args:
        settings: Settings of the run.
        execution: Execution options of the run.

    Raises:
        SettingsError: If the hosts cannot share a batch or a wall-clock budget.
    """
    if keras.backend.backend() != "tensorflow":
        _check_divisible(settings.batch_size, _count_devices())
        return execution
    hosts = execution.hosts
    if hosts is None:
        from liverseg_tf.train.learner.hosts import this_host

        hosts = this_host()
    _check_divisible(settings.batch_size, hosts.strategy.num_replicas_in_sync)
    if settings.minutes is not None and hosts.count > 1:
        raise SettingsError(
            "Expected --epochs instead of --minutes, since the clocks of several hosts differ. "
            f"Received --minutes {settings.minutes:g}."
        )
    return replace(execution, hosts=hosts)


def _count_devices() -> int:
    """Return the number of devices that share a batch without TensorFlow."""
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return jax.local_device_count()


def _check_divisible(batch_size: int, devices: int) -> None:
    if batch_size % devices:
        raise SettingsError(
            f"Expected a batch size that is a multiple of the {devices} devices. "
            f"Received {batch_size}."
        )
