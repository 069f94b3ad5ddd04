"""Report folders: every number with what it takes to trace it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from facecycle_cli import __version__
from facecycle_cli.model import FaceCycle
from facecycle_cli.system import atomic_path

__all__ = ["describe_model", "library_versions", "write_report"]

_LIBRARIES = (
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "scikit-image",
    "scikit-learn",
    "torch",
)


def describe_model(model: FaceCycle) -> dict[str, Any]:
    """Which weights: file, hash, configuration, stage and steps of training."""
    info = model.checkpoint
    metadata_ = info.metadata if info else {}
    return {
        "path": str(info.path) if info else None,
        "sha256": info.sha256 if info else None,
        "preset": model.config.preset,
        "image_size": model.config.image_size,
        "stage": metadata_.get("stage"),
        "steps": metadata_.get("steps"),
    }


def library_versions() -> dict[str, str]:
    """Versions of what the numbers depend on, as far as it is installed."""
    versions = {"facecycle": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_report(folder: Path, report: Mapping[str, Any]) -> Path:
    """Write ``report.json``: ``report`` and the versions of the libraries.

    Returns:
        Its path.
    """
    path = folder / "report.json"
    text = json.dumps({**report, "versions": library_versions()}, indent=2, ensure_ascii=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
