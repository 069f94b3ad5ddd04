"""Videos and photographs to aligned face crops with an index: what ``facecycle preprocess`` does.

`settings` says how, `sources` finds what there is in a tree, `extract` follows the faces of one
source, `crops` cuts them out, `work` does that in a worker, `watchdog` ends one that hangs, `pool`
(or `ray_pool`) runs the workers, `store` and `shards` put the crops in place, `index` keeps the
books, and `runner` puts these together.
"""

from facecycle_cli.pipelines.preprocess.errors import (
    OutputError,
    PreprocessError,
    SettingsError,
)
from facecycle_cli.pipelines.preprocess.estimate import Estimate, estimate
from facecycle_cli.pipelines.preprocess.index import read_crops, read_index
from facecycle_cli.pipelines.preprocess.runner import (
    TIMEOUT,
    Events,
    Tally,
    default_workers,
    preprocess,
)
from facecycle_cli.pipelines.preprocess.settings import Settings

__all__ = [
    "TIMEOUT",
    "Estimate",
    "Events",
    "OutputError",
    "PreprocessError",
    "Settings",
    "SettingsError",
    "Tally",
    "default_workers",
    "estimate",
    "preprocess",
    "read_crops",
    "read_index",
]
