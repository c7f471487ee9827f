"""Measure training steps of a U-Net in PyTorch, for benchmarks/train.py.

Usage: train_torch.py --side S --batch B --precision P [--compile]. Memory is channels_last, and
bfloat16 uses autocast. Network, loss and optimizer are those of liverseg_tf: 16 to 256 filters,
batch normalisation, batch Dice and cross-entropy of two regions, AdamW, and a clipped norm of the
gradient.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

FILTERS = (16, 32, 64, 128, 256)
WARM_UP, STEPS = 3, 6


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


def make_batch(side: int, batch: int, device: str):
    """Return a random image and ground truth on the device."""
    image = torch.rand(batch, 1, side, side).to(device, memory_format=torch.channels_last)
    return image, (torch.rand(batch, 2, side, side) > 0.9).float().to(device)


def make_step(precision: str, compiled: bool, device: str):
    """Return a function of image and ground truth that trains one step, and the network."""
    network = UNet().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4)

    def compute_loss(image, truth):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(image)
        return loss_of(logits.float(), truth)

    forward = torch.compile(compute_loss) if compiled else compute_loss

    def step(image, truth) -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = forward(image, truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return loss.detach()

    return step, network


def measure(side: int, batch: int, precision: str, compiled: bool) -> dict:
    """Measure the images per second, and on a GPU its memory."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.perf_counter()
    step, network = make_step(precision, compiled, device)
    image, truth = make_batch(side, batch, device)
    for _ in range(WARM_UP):
        float(step(image, truth))
    start_seconds = time.perf_counter() - started
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, processor = [], time.process_time()
    for _ in range(STEPS):
        started = time.perf_counter()
        float(step(image, truth))
        times.append(time.perf_counter() - started)
    found = {
        "rate": batch / statistics.median(times),
        "processor_seconds": (time.process_time() - processor) / STEPS,
        "start_seconds": start_seconds,
        "parameters": sum(p.numel() for p in network.parameters()),
        "what": f"PyTorch {torch.__version__} {'torch.compile' if compiled else 'eager'}, "
        "channels_last",
    }
    if device == "cuda":
        found["gigabytes"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    found = measure(options.side, options.batch, options.precision, options.compile)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
