"""The report folders of ``evaluate``: report.json and its pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.evaluation.expression import ExpressionResult
from facecycle_cli.evaluation.neutral_results import NeutralResult
from facecycle_cli.evaluation.plots import plot_confusion, plot_histograms, plot_scatter
from facecycle_cli.evaluation.pose import PoseResult
from facecycle_cli.evaluation.pose_data import ANGLES
from facecycle_cli.evaluation.reconstruction import STEPS, ReconstructionResult
from facecycle_cli.evaluation.reenactment_results import ClipResult
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.media.reports import SheetCell, contact_sheet, write_report
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops

__all__ = [
    "report_expression",
    "report_neutral",
    "report_pose",
    "report_reconstruction",
    "write_strip",
]

_SIDE = 128
"""Of a face on a contact sheet, in pixels."""

_PLOTTED = ("motion_cycle_l1", "both_cycles_l1", "identity_similarity", "stranger_similarity")


def report_expression(
    folder: Path, report: Mapping[str, Any], result: ExpressionResult
) -> list[Path]:
    """Write ``report.json`` and a confusion matrix for each representation.

    Args:
        folder: is created.
        report: the content of ``report.json``.
        result: what is drawn.

    Returns:
        The files that were written.
    """
    written = [write_report(folder, report)]
    for name, probe in result.results.items():
        path = _path(folder, "confusion", name, len(result.results))
        plot_confusion(np.array(probe.metrics.confusion), probe.metrics.classes, path)
        written.append(path)
    return written


def report_pose(
    folder: Path, report: Mapping[str, Any], result: PoseResult, models: Mapping[str, FaceCycle]
) -> list[Path]:
    """Write ``report.json`` and predicted over true angles for each of ``models``.

    Arguments and result as of :func:`report_expression`.
    """
    written = [write_report(folder, report)]
    for name in models:
        path = _path(folder, "angles", name, len(models))
        plot_scatter(result.truth, result.predicted[name], ANGLES, path)
        written.append(path)
    return written


def report_reconstruction(
    folder: Path,
    report: Mapping[str, Any],
    result: ReconstructionResult,
    models: Mapping[str, FaceCycle],
) -> list[Path]:
    """Write ``report.json``, ``distributions.png``, and the steps of a few faces per model.

    Arguments and result as of :func:`report_expression`.
    """
    written = [write_report(folder, report), folder / "distributions.png"]
    panels = {
        metric: {name: each.values[metric] for name, each in result.results.items()}
        for metric in _PLOTTED
    }
    plot_histograms(panels, folder / "distributions.png")
    for name, measured in result.results.items():
        info = models[name].checkpoint
        path = _path(folder, "faces", name, len(result.results))
        enlarged = (resize_crops(face, _SIDE) for face in measured.shown)
        cells = [
            SheetCell([picture], [step])
            for face in enlarged
            for picture, step in zip(face, STEPS, strict=True)
        ]
        sheet = contact_sheet(cells, columns=len(STEPS))
        provenance = Provenance("evaluate reconstruction", info.sha256 if info else None)
        write_image(sheet, path, provenance=provenance)
        written.append(path)
    return written


def report_neutral(
    folder: Path,
    report: Mapping[str, Any],
    result: NeutralResult,
    models: Mapping[str, FaceCycle],
) -> list[Path]:
    """Write ``report.json``, and for each model a few inputs, their neutral faces, and the neutral
    photographs of the same people.

    Arguments and result as of :func:`report_expression`.
    """
    written = [write_report(folder, report)]
    for name, shown in result.shown.items():
        info = models[name].checkpoint
        path = _path(folder, "faces", name, len(result.shown))
        cells = [
            SheetCell([picture], [caption])
            for each in shown
            for picture, caption in (
                (each.crop, each.face.expression),
                (each.result, f"neutralize: {1 - each.face.after / each.face.before:.0%} there"),
                (each.neutral, "own neutral photograph"),
            )
        ]
        sheet = contact_sheet(cells, columns=6)
        provenance = Provenance("evaluate neutral", info.sha256 if info else None)
        write_image(sheet, path, provenance=provenance)
        written.append(path)
    return written


def write_strip(folder: Path, number: int, clip: ClipResult, model: FaceCycle) -> Path | None:
    """Write the strip of a clip of ``evaluate translate``.

    Args:
        folder: is created.
        number: of the clip in its run, from 0: clips of different folders may share a name.
        clip: with its strip.
        model: what made the output.

    Returns:
        The file; None if no frame can be shown.
    """
    if clip.strip is None or clip.strip.is_empty:
        return None
    info = model.checkpoint
    path = folder / f"strip_{number + 1:03d}_{_safe(Path(clip.name).stem)}.png"
    provenance = Provenance("evaluate translate", info.sha256 if info else None)
    write_image(clip.strip.sheet(), path, provenance=provenance)
    return path


def _path(folder: Path, what: str, name: str, count: int) -> Path:
    """``what.png``, or with several representations ``what_NAME.png``."""
    if count == 1:
        return folder / f"{what}.png"
    return folder / f"{what}_{_safe(name)}.png"


def _safe(name: str) -> str:
    """``name`` as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")
