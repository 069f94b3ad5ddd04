"""Videos and photographs to aligned face crops with an index: what ``facecycle preprocess`` does.

`settings` says how, `sources` finds what there is in a tree, `extract` follows the faces of one
source, `crops` cuts them out, `work` does that in a worker, `watchdog` ends one that hangs, `pool`
(or `ray_pool`) runs the workers, `store` and `shards` put the crops in place, `index` keeps the
books, and `runner` puts these together.
"""

from facecycle_cli.preprocess.estimate import Estimate, estimate
from facecycle_cli.preprocess.index import read_crops, read_index
from facecycle_cli.preprocess.run import (
    TIMEOUT,
    Events,
    Tally,
    default_workers,
    preprocess,
)
from facecycle_cli.preprocess.settings import PreprocessSettings

__all__ = [
    "TIMEOUT",
    "Estimate",
    "Events",
    "PreprocessSettings",
    "Tally",
    "default_workers",
    "estimate",
    "preprocess",
    "read_crops",
    "read_index",
]
