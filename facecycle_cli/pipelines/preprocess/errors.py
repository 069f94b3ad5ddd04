"""What ends a whole run of preprocess (a source that fails does not)."""

__all__ = ["OutputError", "PreprocessError", "SettingsError"]


class PreprocessError(ValueError):
    """The run cannot start or go on; the message is one line."""


class OutputError(PreprocessError):
    """The output folder cannot be written: the disk is full, or gone, or read-only."""


class SettingsError(PreprocessError):
    """The output folder was made with other settings, or is not ours at all."""
