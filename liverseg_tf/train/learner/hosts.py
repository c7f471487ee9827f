"""The devices that train together: those of this host, or of several hosts."""

import os
from dataclasses import dataclass

import tensorflow as tf

from liverseg_tf.errors import LiverSegError, SettingsError, first_line


@dataclass(frozen=True)
class Hosts:
    """The hosts of a run and the strategy by which their devices share each batch.

    Args:
        strategy: TensorFlow's distribution strategy over all replicas.
        index: Index of this host. The first host writes the run.
        count: Number of hosts.
    """

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1

    @property
    def local_replicas(self) -> int:
        """Number of replicas on this host."""
        return self.strategy.num_replicas_in_sync // self.count


def this_host() -> Hosts:
    """Return all GPUs of this host, or its only GPU, or its CPU."""
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return Hosts(tf.distribute.MirroredStrategy())
    return Hosts(tf.distribute.get_strategy())


def join_hosts(kind: str) -> Hosts:
    """Connect to the other hosts of a run. This must precede every other TensorFlow operation.

    Args:
        kind: One of `choices.HOSTS`. 'tf-config' reads the addresses of all hosts from the
            environment variable TF_CONFIG; 'slurm' reads them from a Slurm job step with one task
            per host.

    Raises:
        SettingsError: If the environment does not name the hosts.
        LiverSegError: If the hosts cannot connect to each other.
    """
    if kind == "tf-config":
        if "TF_CONFIG" not in os.environ:
            raise SettingsError(
                "The environment variable TF_CONFIG is not set: --hosts tf-config reads the "
                "addresses of all hosts from it."
            )
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    else:
        if "SLURM_STEP_NODELIST" not in os.environ:
            raise SettingsError(
                "This is not a step of a Slurm job: with --hosts slurm, start the command on all "
                "hosts with srun."
            )
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
        count = len(resolver.cluster_spec().as_dict().get("worker", ())) or 1
        return Hosts(strategy, resolver.task_id or 0, count)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise LiverSegError(
            f"The hosts of the run could not connect to each other: {first_line(error)}"
        ) from error
