"""The report folders of ``evaluate``: report.json and its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.evaluation.plots import plot_confusion, plot_histograms, plot_scatter
from facecycle_cli.evaluation.pose_data import ANGLES
from facecycle_cli.evaluation.report import write_report
from facecycle_cli.evaluation.sheets import Cell, contact_sheet
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops

__all__ = ["report_expression", "report_pose", "report_reconstruction"]

_STEPS = ("input", "neutral", "motion cycle", "mean face", "identity cycle", "both cycles")
_SIDE = 128
_PLOTTED = ("motion_cycle_l1", "both_cycles_l1", "identity_similarity", "stranger_similarity")


def report_expression(folder: Path, report: Mapping[str, Any]) -> list[Path]:
    """Write ``report.json`` and a confusion matrix for each representation."""
    written = [write_report(folder, report)]
    for name, numbers in report["results"].items():
        path = _path(folder, "confusion", name, len(report["results"]))
        plot_confusion(np.array(numbers["confusion"]), numbers["classes"], path)
        written.append(path)
    return written


def report_pose(
    folder: Path, report: Mapping[str, Any], truth: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> list[Path]:
    """Write ``report.json`` and predicted over true angles for each checkpoint."""
    written = [write_report(folder, report)]
    for name, values in predicted.items():
        path = _path(folder, "angles", name, len(predicted))
        plot_scatter(truth, values, ANGLES, path)
        written.append(path)
    return written


def report_reconstruction(
    folder: Path,
    report: Mapping[str, Any],
    values: Mapping[str, Mapping[str, np.ndarray]],
    shown: Mapping[str, np.ndarray],
    models: Mapping[str, FaceCycle],
) -> list[Path]:
    """Write ``report.json``, ``distributions.png``, and the steps of a few faces per checkpoint."""
    written = [write_report(folder, report)]
    panels = {metric: {name: each[metric] for name, each in values.items()} for metric in _PLOTTED}
    plot_histograms(panels, folder / "distributions.png")
    written.append(folder / "distributions.png")
    for name, pictures in shown.items():
        info = models[name].checkpoint
        path = _path(folder, "faces", name, len(shown))
        enlarged = (resize_crops(face, _SIDE) for face in pictures)
        cells = [
            Cell([p], [step]) for face in enlarged for p, step in zip(face, _STEPS, strict=True)
        ]
        sheet = contact_sheet(cells, columns=len(_STEPS))
        provenance = Provenance("evaluate reconstruction", info.sha256 if info else None)
        write_image(sheet, path, provenance=provenance)
        written.append(path)
    return written


def _path(folder: Path, what: str, name: str, count: int) -> Path:
    """``what.png``, or with several representations ``what_NAME.png``."""
    if count == 1:
        return folder / f"{what}.png"
    safe = re.sub(r"[^\w.-]+", "_", name).strip("_.")
    return folder / f"{what}_{safe}.png"
