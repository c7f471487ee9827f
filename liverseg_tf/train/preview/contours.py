"""Contours of regions on top of a tile."""

import numpy as np

COLOURS = ("tab:green", "tab:red", "tab:blue", "tab:orange", "tab:purple", "tab:cyan")


def draw_contours(axes, masks: np.ndarray, linestyle: str = "solid") -> None:
    """Draw the contour of each region into Matplotlib axes.

    Args:
        axes: Axes that show the tile.
        masks: (h, w, regions); a pixel above 0 belongs to the region, and one below 0 is unknown.
        linestyle: Matplotlib line style.
    """
    for region in range(masks.shape[-1]):
        mask = masks[..., region] > 0
        if mask.any():
            colour = COLOURS[region % len(COLOURS)]
            axes.contour(mask, [0.5], colors=colour, linewidths=1, linestyles=linestyle)
