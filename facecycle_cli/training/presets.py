"""The settings of each preset, over which a user's layers are put."""

from __future__ import annotations

from typing import Any

_SHORT_WEIGHTS = {
    "symmetry": 0.3,
    "guide": 30.0,
    "smoothness": 4.0,
    "folding": 5.0,
    "gauge": 10.0,
}
"""Not in the paper: landmarks lead the flows, which must not tear around the nose or widen faces.
"""

_SHORT_OPTIONS = {"focus": 0.5, "exchange": 0.5, "relight": 1.0}
"""Not in the paper: pixels of the face count most; half of the faces are rebuilt from their own
neutral face; no face has to guess the light of another picture.
"""

_STRONG: dict[str, Any] = {
    "scale": 0.07,
    "rotation": 10.0,
    "shift": 0.03,
    "color": 0.1,
    "gray": 0.1,
    "coupled": True,
}
"""For single pictures: changes of their geometry stand in for the frames of a clip."""

_ANY_LIGHT = {**_STRONG, "color": 0.2, "gray": 0.2, "coupled": False}
"""Identity codes must not depend on the light of a picture."""

PRESET_SETTINGS: dict[str, dict[str, Any]] = {
    # The supplementary code's: Adam without clipping or averaging, one pair of each clip an epoch.
    "paper": {
        "batch_size": 32,
        "schedule": "paper",
        "flip_share": 0.5,
        "group_share": -1.0,
        "expression": {"epochs": 40, "lr": 5e-5, "beta2": 0.999},
        "identity": {"epochs": 20, "lr": 1e-4, "beta2": 0.9},
    },
    # The embedded checkpoint's: for hours on a CPU, with few clips and many single faces.
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
        "weights": _SHORT_WEIGHTS,
        "options": _SHORT_OPTIONS,
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
"""Preset -> the settings in which it differs from the defaults of the records, as one layer."""
