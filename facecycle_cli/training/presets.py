"""What each preset trains with, unless told otherwise."""

from __future__ import annotations

from typing import Any

_SHORT_TRAINING = {
    "symmetry": 0.3,
    "guide": 30.0,
    "smoothness": 4.0,
    "folding": 5.0,
    "gauge": 10.0,
    "focus": 0.5,
    "exchange": 0.5,
    "relight": 1.0,
}
"""Not in the paper. Landmarks lead the flows, which are kept from tearing around the nose and from
widening faces; pictures count most inside the face; half of the faces are rebuilt from their own
neutral face, and none has to guess at another picture's light."""

_STRONG: dict[str, Any] = {
    "scale": 0.07,
    "rotation": 10.0,
    "shift": 0.03,
    "color": 0.1,
    "gray": 0.1,
    "coupled": True,
}
"""Geometry makes up for the frames that single pictures do not have."""

_ANY_LIGHT = {**_STRONG, "color": 0.2, "gray": 0.2, "coupled": False}
"""The light of a picture is not the person's."""

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
        "warmup": 300,
        "ema": 0.995,
        "clip": 1.0,
        "flip_share": 0.2,
        "group_share": 0.45,
        "sample_every": 250,
        "augmentation": _STRONG,
        "weights": _SHORT_TRAINING,
        "expression": {"steps": 5200, "flow_steps": 1500, "lr": 4e-4, "beta2": 0.999},
        "identity": {
            "steps": 2000,
            "batch_size": 48,
            "lr": 6e-4,
            "beta2": 0.9,
            "augmentation": _ANY_LIGHT,
            "weights": {"contrast": 1.0, "average": 2.0},
        },
    },
}
