"""Measure training steps of a U-Net in PyTorch, for benchmarks/train.py.

Usage: train_torch.py --side S --batch B --precision P. On a CPU, steps are eager and channels_last;
on a GPU, they use torch.compile and channels_last. bfloat16 uses autocast. Network, loss and
optimizer are those of liverseg_tf: 16 to 256 filters, batch normalisation, batch Dice and
cross-entropy of two regions, AdamW, and a clipped gradient norm.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

FILTERS = (16, 32, 64, 128, 256)


class Block(nn.Sequential):
    def __init__(self, before: int, after: int):
        layers = []
        for channels in (before, after):
            layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        pairs = list(zip((1, *FILTERS[:-1]), FILTERS, strict=True))
        self.down = nn.ModuleList([Block(*pair) for pair in pairs])
        levels = range(len(FILTERS) - 1)
        self.grow = nn.ModuleList(
            [nn.ConvTranspose2d(FILTERS[n + 1], FILTERS[n], 2, 2) for n in levels]
        )
        self.up = nn.ModuleList([Block(2 * FILTERS[n], FILTERS[n]) for n in levels])
        self.logits = nn.Conv2d(FILTERS[0], 2, 1)

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](torch.cat([skips[level], self.grow[level](x)], 1))
        return self.logits(x)


def loss_of(logits, truth):
    probabilities = torch.sigmoid(logits)
    both = (probabilities * truth).sum((0, 2, 3))
    sizes = probabilities.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    dice = (1 - (2 * both + 1) / (sizes + 1)).mean()
    return dice + F.binary_cross_entropy_with_logits(logits, truth)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", required=True)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = UNet().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)
    shape = (options.batch, 1, options.side, options.side)
    image = torch.rand(shape).to(device, memory_format=torch.channels_last)
    truth = (torch.rand(options.batch, 2, *shape[2:]) > 0.9).float().to(device)
    forward = torch.compile(network) if device == "cuda" else network

    def step():
        optimizer.zero_grad(set_to_none=True)
        mixed = options.precision == "bfloat16"
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
            logits = forward(image)
        loss = loss_of(logits.float(), truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return float(loss)

    for _ in range(3):
        step()
    times = []
    for _ in range(6):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    kind = "torch.compile" if device == "cuda" else "eager"
    found = {
        "rate": options.batch / statistics.median(times),
        "parameters": sum(p.numel() for p in network.parameters()),
        "what": f"PyTorch {torch.__version__} {kind}, channels_last",
    }
    if device == "cuda":
        found["gigabytes"] = torch.cuda.max_memory_allocated() / 1e9
    print(json.dumps(found))


if __name__ == "__main__":
    main()
