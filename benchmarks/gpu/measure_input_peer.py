"""Measure training of plain PyTorch on batches of MONAI's CacheDataset and DataLoader."""

import os
import tempfile
from pathlib import Path

from measuring import input_batch, measure_end_to_end, measure_rows, parse_options, regions

from liverseg_tf.errors import LiverSegError


def main() -> None:
    options = parse_options()
    measure_rows(options, lambda row: measure(options))


def measure(options) -> dict:
    """Measure the transforms of benchmarks/peers/pipeline_monai.py with a worker for each core."""
    try:
        import monai
    except ImportError:
        raise LiverSegError("MONAI is not installed.") from None
    import torch
    from peers.pipeline_monai import make_loader
    from peers.train_torch import make_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, workers = input_batch(options.quick), os.cpu_count() or 1
    step, _ = make_step("bfloat16", not options.quick, device)
    with tempfile.TemporaryDirectory() as folder:
        write_slices(options.store, Path(folder))
        loader = make_loader(Path(folder), batch, workers)
    labels = [labels[0] for labels in regions().to_json().values()]

    def batches():
        for found in loader:
            image, label = (
                found[name].as_tensor().to(device, non_blocking=True) for name in ("image", "label")
            )
            truth = torch.cat([label == value for value in labels], 1).float()
            yield image.contiguous(memory_format=torch.channels_last), truth

    found = measure_end_to_end(batches(), step, batch, options.quick)
    found["batch"] = batch
    found["what"] = f"MONAI {monai.__version__}, {workers} worker processes"
    return found


def write_slices(store: Path, folder: Path) -> None:
    """Write the training cases of a store as the arrays that the peer reads."""
    import numpy as np

    from liverseg_tf.tiles.store import TileStore

    tiles = TileStore.open(store)
    for name in tiles.split["train"]:
        case = tiles.read(name, compare=False)
        image, mask = np.asarray(case.image)[..., 0], np.asarray(case.mask)
        np.savez(folder / f"{name}.npz", image=image, mask=mask)


if __name__ == "__main__":
    main()
