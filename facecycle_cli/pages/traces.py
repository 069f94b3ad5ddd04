"""How a report was measured, in words: what ``report.json`` says of options and weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facecycle_cli.media.reports import library_versions

__all__ = ["traces_of"]

_HASH_DIGITS = 16
_SHOWN = (
    *("data", "pairs_file", "against", "cross", "protocol", "features", "layout", "turned", "seed"),
    *("aligner", "judge", "aligned", "mouth", "motion_from", "quick", "draw", "start", "duration"),
    *("max_frames", "ungrouped"),
)
"""Keys of reports that say what was measured and how."""


def traces_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Options, weights and versions behind a report.

    Args:
        report: the content of ``report.json``.

    Returns:
        Name -> value, in the order in which a page shows them.
    """
    traces = {
        name.replace("_", " "): str(report[name])
        for name in _SHOWN
        if isinstance(report.get(name), (str, int, float)) and report[name] is not False
    }
    if "pairs file" in traces:
        traces = {"data": traces.pop("pairs file"), **traces}
    for name, value in report.get("settings", {}).items():
        traces[name.replace("_", " ")] = str(value)
    checkpoints = report.get("checkpoints") or {"checkpoint": report.get("checkpoint")}
    for name, described in checkpoints.items():
        if described:
            traces[f"weights {name}" if "checkpoints" in report else "weights"] = _weights(
                described
            )
    versions = library_versions()
    traces["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    return traces


def _weights(described: Mapping[str, Any]) -> str:
    """File, start of the hash, and configuration of a checkpoint."""
    parts = []
    if described.get("path"):
        parts.append(Path(described["path"]).name)
    if described.get("sha256"):
        parts.append(f"SHA-256 {described['sha256'][:_HASH_DIGITS]}…")
    parts.append(f"preset {described['preset']}, {described['image_size']} pixels")
    steps = described.get("steps")
    if isinstance(steps, Mapping):
        parts += [f"{count} steps of {what}" for what, count in steps.items()]
    elif steps:
        parts.append(f"{steps} steps")
    return ", ".join(parts)
