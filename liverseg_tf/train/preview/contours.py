"""Contours of regions, drawn over a tile."""

import numpy as np

COLOURS = ("tab:green", "tab:red", "tab:blue", "tab:orange", "tab:purple", "tab:cyan")


def draw_contours(axes, masks: np.ndarray, style: str = "solid") -> None:
    """The edge of each region, (h, w, regions), around its pixels."""
    for region in range(masks.shape[-1]):
        mask = masks[..., region] > 0
        if mask.any():
            colour = COLOURS[region % len(COLOURS)]
            axes.contour(mask, [0.5], colors=colour, linewidths=1, linestyles=style)
