"""Videos and photographs to aligned face crops with an index: ``facecycle preprocess``.

:mod:`~facecycle_cli.preprocess.run` is the whole run. It asks
:mod:`~facecycle_cli.preprocess.sources` for the videos and photographs of a tree, gives them to
:mod:`~facecycle_cli.preprocess.workers` (processes on this machine) or
:mod:`~facecycle_cli.preprocess.ray` (a cluster), moves their crops into the output folder by
:mod:`~facecycle_cli.preprocess.store` and :mod:`~facecycle_cli.preprocess.shards`, and writes the
:mod:`~facecycle_cli.preprocess.index`. A worker finds the faces of one source in
:mod:`~facecycle_cli.preprocess.extract` and cuts them out in
:mod:`~facecycle_cli.preprocess.crops`.
"""

from facecycle_cli.preprocess.estimate import Estimate, estimate
from facecycle_cli.preprocess.index import read_crops, read_index
from facecycle_cli.preprocess.run import TIMEOUT, Events, InputSummary, preprocess
from facecycle_cli.preprocess.settings import PreprocessSettings

__all__ = [
    "TIMEOUT",
    "Estimate",
    "Events",
    "InputSummary",
    "PreprocessSettings",
    "estimate",
    "preprocess",
    "read_crops",
    "read_index",
]
