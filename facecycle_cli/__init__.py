"""facecycle: facial representations from the cycle-consistency of faces."""

__version__ = "0.1.0"
