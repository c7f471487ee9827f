"""Which devices learn together: those of this host, or of several."""

import os
from dataclasses import dataclass

import tensorflow as tf

from liverseg_tf.errors import LiverSegError, SettingsError

KINDS = ("tf-config", "slurm")


@dataclass(frozen=True)
class Hosts:
    """The hosts of a run, and what they share a batch by.

    Args:
        strategy: of all replicas.
        index: of this host; the first one writes the run.
        count: of the hosts.
    """

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1

    @property
    def local_replicas(self) -> int:
        return self.strategy.num_replicas_in_sync // self.count


def this_host() -> Hosts:
    """All GPUs of this host, or its processor."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return Hosts(tf.distribute.MirroredStrategy())
    return Hosts(tf.distribute.get_strategy())


def join_hosts(kind: str) -> Hosts:
    """Meet the other hosts of a run; has to come before anything else is computed.

    Args:
        kind: 'tf-config' reads the addresses of all hosts from the variable TF_CONFIG, 'slurm'
            from those of a Slurm job step with one task for each host.

    Raises:
        SettingsError: when the environment tells of no hosts.
        LiverSegError: when they don't meet.
    """
    if kind == "tf-config":
        if "TF_CONFIG" not in os.environ:
            raise SettingsError("Expected the hosts in the variable TF_CONFIG. Received none.")
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    else:
        if "SLURM_STEP_NODELIST" not in os.environ:
            raise SettingsError("Expected a step of a Slurm job (srun). Received none.")
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        count = len(resolver.cluster_spec().as_dict().get("worker", ())) or 1
        return Hosts(strategy, resolver.task_id or 0, count)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        lines = str(error).strip().splitlines()
        raise LiverSegError(
            f"Expected the hosts of the run to meet. Received: {lines[0]}"
        ) from error
