"""Intensity of each tissue of a phantom, in CT and in an image similar to MR."""

import numpy as np


def draw_hounsfield(rng: np.random.Generator) -> dict[str, float]:
    """Draw the HU of each tissue in the portal venous phase; neighbours are close to the liver."""
    liver = rng.uniform(78, 118)
    near = rng.uniform(-5, 5, 8)
    values = {
        "air": -1000.0,
        "couch": rng.uniform(-150, -50),
        "fat": rng.uniform(-110, -92),
        "muscle": rng.uniform(56, 70),
        "diaphragm": liver - rng.uniform(0, 12),
        "lung": rng.uniform(-880, -820),
        "bone": rng.uniform(280, 420),
        "marrow": rng.uniform(130, 200),
        "disc": rng.uniform(70, 95),
        "canal": rng.uniform(20, 40),
        "heart": liver + near[0],
        "aorta": liver + rng.uniform(30, 60),
        "cava": liver + rng.uniform(0, 35),
        "vein": liver + rng.uniform(20, 45),
        "portal": liver + rng.uniform(25, 50),
        "liver": liver,
        "spleen": liver + near[1],
        "bile": rng.uniform(0, 18),
        "cortex": liver + rng.uniform(0, 50),
        "medulla": liver + rng.uniform(-10, 25),
        "sinus": rng.uniform(-60, 10),
        "wall": liver + near[2],
        "fluid": rng.uniform(5, 25),
        "chyme": liver + near[3],
        "stool": liver + near[4] - 5,
        "contrasted": rng.uniform(140, 260),
        "gas": -950.0,
    }
    return values | {f"tumour_{i}": liver - darker for i, darker in enumerate(_darker(rng))}


def draw_mr_units(rng: np.random.Generator) -> dict[str, float]:
    """Draw the intensity of each tissue as in a T1-weighted image; air is 0 and liver is 1."""
    values = {
        "air": 0.0,
        "couch": 0.0,
        "fat": rng.uniform(1.5, 2.1),
        "muscle": rng.uniform(0.55, 0.75),
        "diaphragm": rng.uniform(0.5, 0.7),
        "lung": rng.uniform(0.04, 0.1),
        "bone": rng.uniform(0.1, 0.25),
        "marrow": rng.uniform(0.8, 1.3),
        "disc": rng.uniform(0.4, 0.7),
        "canal": rng.uniform(0.25, 0.4),
        "heart": rng.uniform(0.6, 1.1),
        "aorta": rng.uniform(0.15, 0.4),
        "cava": rng.uniform(0.3, 0.6),
        "vein": rng.uniform(0.35, 0.7),
        "portal": rng.uniform(0.35, 0.7),
        "liver": 1.0,
        "spleen": rng.uniform(0.6, 0.9),
        "bile": rng.uniform(0.2, 1.2),
        "cortex": rng.uniform(0.8, 1.0),
        "medulla": rng.uniform(0.5, 0.7),
        "sinus": rng.uniform(1.0, 1.6),
        "wall": rng.uniform(0.6, 1.0),
        "fluid": rng.uniform(0.2, 0.4),
        "chyme": rng.uniform(0.5, 1.1),
        "stool": rng.uniform(0.5, 1.3),
        "contrasted": rng.uniform(0.3, 1.3),
        "gas": 0.02,
    }
    return values | {f"tumour_{i}": 1 - darker / 90 for i, darker in enumerate(_darker(rng))}


def _darker(rng: np.random.Generator, count: int = 32) -> np.ndarray:
    return rng.uniform(25, 60, count)
