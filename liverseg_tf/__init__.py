"""Segmentation of organs and tumours in CT and MR volumes with a 2D Keras U-Net.

The functions below join the stages of the package. Importing it imports nothing else: each function
imports what it needs when it is first used.

    import liverseg_tf as ls

    store = ls.cut_tiles("data_cache/raw/Task03_Liver", "data_cache/stores/liver")
    model = ls.build_unet()
    model.compile("adam", ls.losses.DiceAndCrossEntropy())
    model.fit(
        ls.tile_dataset(store), steps_per_epoch=100, epochs=10,
        callbacks=[ls.RunCheckpoint("data_cache/runs/liver", store)],
    )
    mask = ls.segment("new_ct.nii.gz", "data_cache/runs/liver")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # so that type checkers and editors know the signatures
    from liverseg_tf.api import losses as losses
    from liverseg_tf.api import metrics as metrics
    from liverseg_tf.api.datasets import tile_batches as tile_batches
    from liverseg_tf.api.datasets import tile_dataset as tile_dataset
    from liverseg_tf.api.models import export_model as export_model
    from liverseg_tf.api.models import load_model as load_model
    from liverseg_tf.api.run_checkpoint import RunCheckpoint as RunCheckpoint
    from liverseg_tf.api.scores import evaluate_masks as evaluate_masks
    from liverseg_tf.api.stores import cut_tiles as cut_tiles
    from liverseg_tf.api.stores import open_store as open_store
    from liverseg_tf.api.training import build_unet as build_unet
    from liverseg_tf.api.training import train_model as train_model
    from liverseg_tf.api.volumes import read_volume as read_volume
    from liverseg_tf.api.volumes import write_mask as write_mask
    from liverseg_tf.ct.intensity import Window as Window
    from liverseg_tf.ct.regions import Regions as Regions
    from liverseg_tf.dataset.split import SplitRule as SplitRule
    from liverseg_tf.errors import LiverSegError as LiverSegError
    from liverseg_tf.predict.api import segment as segment
    from liverseg_tf.tiles.spec import TileSpec as TileSpec

_MODULES = {  # name: module that defines it; `losses` and `metrics` are modules themselves
    "LiverSegError": "errors",
    "Regions": "ct.regions",
    "RunCheckpoint": "api.run_checkpoint",
    "SplitRule": "dataset.split",
    "TileSpec": "tiles.spec",
    "Window": "ct.intensity",
    "build_unet": "api.training",
    "cut_tiles": "api.stores",
    "evaluate_masks": "api.scores",
    "export_model": "api.models",
    "load_model": "api.models",
    "losses": "api",
    "metrics": "api",
    "open_store": "api.stores",
    "read_volume": "api.volumes",
    "segment": "predict.api",
    "tile_batches": "api.datasets",
    "tile_dataset": "api.datasets",
    "train_model": "api.training",
    "write_mask": "api.volumes",
}
__all__ = [
    "LiverSegError",
    "Regions",
    "RunCheckpoint",
    "SplitRule",
    "TileSpec",
    "Window",
    "build_unet",
    "cut_tiles",
    "evaluate_masks",
    "export_model",
    "load_model",
    "losses",
    "metrics",
    "open_store",
    "read_volume",
    "segment",
    "tile_batches",
    "tile_dataset",
    "train_model",
    "write_mask",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'liverseg_tf' has no attribute '{name}'")
    module = import_module(f"liverseg_tf.{_MODULES[name]}")
    if not hasattr(module, name):
        module = import_module(f"{module.__name__}.{name}")
        value: Any = module
    else:
        value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
