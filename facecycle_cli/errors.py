"""All errors of this package: one root, and the exit code that each kind gives a command.

A message is one line, without the name of the file that failed: the command line puts that in
front. This module imports nothing heavy, so that every floor may use it.
"""

from __future__ import annotations


class FacecycleError(ValueError):
    """The root of all errors of this package; a ``ValueError``, as what was given cannot be used.

    Attributes:
        exit_code: The exit code of a command that ends with it: 1 if an input failed, 2 for wrong
            usage.
    """

    exit_code: int = 1


def exit_code_of(error: BaseException) -> int:
    """The exit code of a command that ends with ``error``: 1 where it is none of ours."""
    return error.exit_code if isinstance(error, FacecycleError) else FacecycleError.exit_code


class CommandError(FacecycleError):
    """What all inputs need cannot be had, such as the checkpoint: the command ends at once.

    Args:
        message: What is wrong, with the name of the file or option.
        exit_code: The exit code of the command.
    """

    def __init__(self, message: str, exit_code: int = FacecycleError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class SettingsError(FacecycleError):
    """A setting that is unknown, of the wrong kind, out of range, or at odds with another."""

    exit_code = 2


class MissingExtraError(FacecycleError):
    """A library of an optional extra is not installed; the message says how to install it."""


class MediaError(FacecycleError):
    """A picture or video that cannot be read or written."""


class FaceError(FacecycleError):
    """A face cannot be found, measured or aligned."""


class NoFaceError(FaceError):
    """The picture holds no face (or none that is large enough)."""


class CutFaceError(NoFaceError):
    """The picture holds no face but such as its border cuts off."""

    def __init__(self) -> None:
        super().__init__("the face is cut off by the picture's border")


class CheckpointError(FacecycleError):
    """A file that is no checkpoint of ours, or not one that this version can use."""


class ThresholdError(CheckpointError):
    """A checkpoint without the similarity threshold that was asked for."""


class ExportError(FacecycleError):
    """A network that cannot be exported, or whose exported version computes something else."""


class DataError(FacecycleError):
    """Data that is not laid out as any of the known forms, or lacks what is needed."""


class EvaluationError(FacecycleError):
    """Numbers that cannot be computed from what was given."""


class OutputError(FacecycleError):
    """A result that cannot be written: no place, a full disk, or a name taken twice."""


class PreprocessError(FacecycleError):
    """A run of preprocess that cannot start or go on (a source that fails does not end it)."""


class TrainingError(FacecycleError):
    """A training run that cannot start or go on."""


class NonFiniteLoss(TrainingError):
    """A loss is no finite number; the last good state is kept."""
