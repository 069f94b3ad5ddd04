"""What each preset trains with, unless told otherwise."""

from __future__ import annotations

from typing import Any

_SHORT_TRAINING = {"smoothness": 2.0, "folding": 5.0, "gauge": 60.0, "focus": 0.8}
"""Not in the paper: without them a short training tears flows around the nose, widens faces, and
spends itself on the background."""

_STRONG: dict[str, Any] = {
    "scale": 0.07,
    "rotation": 10.0,
    "shift": 0.03,
    "colour": 0.1,
    "grey": 0.1,
    "coupled": True,
}
"""Geometry makes up for the frames that single pictures do not have."""

PRESET_SETTINGS: dict[str, dict[str, Any]] = {
    # Supplementary code: Adam without clipping or averaging, 40 and 20 epochs of one pair a clip.
    "paper": {
        "batch_size": 32,
        "schedule": "paper",
        "flip_share": 0.5,
        "group_share": -1.0,
        "expression": {"epochs": 40, "lr": 5e-5, "beta2": 0.999},
        "identity": {"epochs": 20, "lr": 1e-4, "beta2": 0.9},
    },
    # What the embedded checkpoint was trained with: hours on a CPU, few clips, many single faces.
    "small": {
        "batch_size": 24,
        "schedule": "cosine",
        "warmup": 100,
        "ema": 0.998,
        "clip": 1.0,
        "flip_share": 0.1,
        "group_share": 0.75,
        "sample_every": 100,
        "augmentation": _STRONG,
        "weights": _SHORT_TRAINING,
        "expression": {"steps": 2600, "lr": 7e-4, "beta2": 0.999},
        "identity": {"steps": 2000, "lr": 7e-4, "beta2": 0.9},
    },
}
