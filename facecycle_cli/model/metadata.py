"""What a checkpoint's metadata may say: numbers that are finite, thresholds that are cosines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from facecycle_cli.errors import CheckpointError

_DEEPEST = 32
"""Groups within groups: far more than any metadata needs, and far less than json can write."""


def check_numbers(metadata: Mapping[str, Any]) -> None:
    """Check the numbers of a checkpoint's metadata.

    Raises:
        CheckpointError: one is not finite, or an entry of ``verification`` is out of its range; or
            groups are nested too deeply. The message names the entry.
    """
    waiting: list[tuple[str, Any, int]] = [(str(k), v, 1) for k, v in metadata.items()]
    while waiting:
        name, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise CheckpointError("damaged checkpoint metadata: nested too deeply")
        if isinstance(value, float) and not math.isfinite(value):
            raise CheckpointError(f"damaged checkpoint metadata: {name} is {value}")
        if isinstance(value, Mapping):
            waiting += ((f"{name}.{key}", inner, depth + 1) for key, inner in value.items())
        elif isinstance(value, (list, tuple)):
            waiting += ((name, inner, depth + 1) for inner in value)
    if metadata.get("verification") is not None:
        _check_verification(metadata["verification"])


def _check_verification(entry: Any) -> None:
    if not isinstance(entry, Mapping):
        raise _damaged("is no group of values")
    if "threshold" in entry:
        _check_range("threshold", entry["threshold"], -1)
    for name in ("far", "tar"):
        if entry.get(name) is not None:
            _check_range(name, entry[name], 0)
    thresholds = entry.get("thresholds", {})
    if not isinstance(thresholds, Mapping):
        raise _damaged("has thresholds that are no group of values")
    for rate, value in thresholds.items():
        try:
            _check_range("rate", float(rate), 0)
        except (TypeError, ValueError):
            raise _damaged(f"has a threshold for {rate!r}, which is no rate") from None
        _check_range(f"thresholds.{rate}", value, -1)


def _check_range(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= 1:
        raise _damaged(f"has {name} {value!r}, not a number from {least} to 1")


def _damaged(what: str) -> CheckpointError:
    return CheckpointError(f"damaged checkpoint metadata: `verification` {what}")
