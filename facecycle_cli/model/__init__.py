"""The core: the paper's networks, their configuration and their checkpoints."""

from facecycle_cli.model.checkpoint import load, read_info, save_checkpoint
from facecycle_cli.model.config import PRESETS, CheckpointInfo, ModelConfig, preset
from facecycle_cli.model.facecycle import Codes, FaceCycle, Flows

__all__ = [
    "PRESETS",
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
