"""The memory of a training, for settings that have no store yet."""

from dataclasses import replace

from liverseg_tf.model.spec import NetworkSpec
from liverseg_tf.plan.machine import Machine
from liverseg_tf.tiles.spec import TileSpec
from liverseg_tf.train.data.device_memory import free_device_memory
from liverseg_tf.train.learner.components import TrainingComponents
from liverseg_tf.train.learner.hardware import Hardware, choose_hardware
from liverseg_tf.train.learner.memory import estimate_memory
from liverseg_tf.train.network.from_settings import make_unet_spec
from liverseg_tf.train.settings import TrainSettings


def estimate_training(tiles: TileSpec, settings: TrainSettings, precision: str) -> int:
    """Estimate the memory of a training step in bytes, as `train --dry-run` does.

    Args:
        tiles: Settings of the tiles, which have one shape.
        settings: Settings of the run.
        precision: Precision of the computation.
    """
    assert tiles.tile_shape is not None, "a plan has tiles of one shape"
    network = NetworkSpec(
        tiles, settings.regions, settings.context, context_spacing_mm=settings.context_spacing_mm
    )
    network = replace(network, stride=make_unet_spec(network, settings).stride)
    components = TrainingComponents.make(network, settings, Hardware(precision))
    return estimate_memory(components, network.padded(tiles.tile_shape), settings.batch_size)


def find_machine(
    device: str | None, memory_bytes: float | None, host_bytes: float | None
) -> Machine:
    """Describe the machine for which a plan is made; Keras' backend must have been imported.

    Args:
        device: 'cpu' or 'gpu'; None looks for a GPU.
        memory_bytes: Memory of the device, if it is given.
        host_bytes: Memory of this machine; None if it is unknown.
    """
    here = free_device_memory()
    has_gpu = here is not None if device is None else device == "gpu"
    if memory_bytes is None:
        memory_bytes = here if has_gpu else host_bytes
    if has_gpu and here is None:  # it is in another machine
        return Machine(True, memory_bytes, "bfloat16")
    if here is not None and not has_gpu:
        return Machine(False, memory_bytes, "float32")
    return Machine(has_gpu, memory_bytes, choose_hardware().precision)
