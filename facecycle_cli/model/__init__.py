"""The core: networks, configuration and checkpoint. Imports nothing else of facecycle."""

from .checkpoint import CheckpointError, CheckpointInfo, load, read_info, save_checkpoint
from .config import PRESETS, ModelConfig, preset
from .facecycle import Codes, FaceCycle, Flows

__all__ = [
    "PRESETS",
    "CheckpointError",
    "CheckpointInfo",
    "Codes",
    "FaceCycle",
    "Flows",
    "ModelConfig",
    "load",
    "preset",
    "read_info",
    "save_checkpoint",
]
