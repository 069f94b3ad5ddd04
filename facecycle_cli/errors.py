"""Everything that facecycle raises on purpose: one root, and the exit code of each kind.

A message is one line, without the name of the file that it is about: the command line puts that in
front. This module imports nothing heavy, so that every floor may use it.
"""

from __future__ import annotations

from typing import ClassVar


class FacecycleError(ValueError):
    """The root of all errors of this package; a ``ValueError``, as what was given cannot be used.

    Attributes:
        exit_code: of the command that ends with it: 1 for input that failed, 2 for wrong usage.
    """

    exit_code: ClassVar[int] = 1


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
