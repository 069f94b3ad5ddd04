"""The report folders of ``evaluate``: report.json, its pictures, and the page that shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.evaluation.expression import ExpressionResult
from facecycle_cli.evaluation.neutral_results import NeutralResult
from facecycle_cli.evaluation.plots import plot_confusion, plot_histograms, plot_scatter
from facecycle_cli.evaluation.pose import PoseResult
from facecycle_cli.evaluation.pose_data import ANGLES
from facecycle_cli.evaluation.reconstruction import METRICS, STEPS, ReconstructionResult
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.media.reports import SheetCell, contact_sheet, write_report
from facecycle_cli.model import FaceCycle
from facecycle_cli.pages.blocks import (
    Block,
    Figure,
    Page,
    Section,
    Shades,
    Sheet,
    SheetTile,
    Slider,
    Sliders,
)
from facecycle_cli.pages.embed import picture_of, plot_of
from facecycle_cli.pages.render import write_index
from facecycle_cli.pages.traces import traces_of
from facecycle_cli.portrait.crops import resize_crops

__all__ = [
    "EvaluationReport",
    "report_expression",
    "report_neutral",
    "report_pose",
    "report_reconstruction",
    "report_tables",
    "safe_name",
]

_SIDE = 128
"""Of a face on a contact sheet, in pixels."""

_PLOTTED = ("motion_cycle_l1", "both_cycles_l1", "identity_similarity", "stranger_similarity")


@dataclass(frozen=True)
class EvaluationReport:
    """What is known of a report before its pictures are made.

    Attributes:
        folder: is created.
        title: of the page.
        numbers: the content of ``report.json``.
        summary: the tables of the page.
    """

    folder: Path
    title: str
    numbers: Mapping[str, Any]
    summary: Sequence[Block]

    def write(
        self, sections: Sequence[Section] = (), terms: Mapping[str, str] | None = None
    ) -> list[Path]:
        """Write ``report.json`` and ``index.html``.

        Args:
            sections: of the page, below the tables.
            terms: definitions of numbers that no other report has.

        Returns:
            Both files.
        """
        page = Page(self.title, self.summary, sections, terms or {}, traces_of(self.numbers))
        return [write_report(self.folder, self.numbers), write_index(self.folder, page)]


def report_tables(report: EvaluationReport) -> list[Path]:
    """Write a report without pictures: ``report.json`` and ``index.html``.

    Returns:
        The files that were written.
    """
    return report.write()


def report_expression(report: EvaluationReport, result: ExpressionResult) -> list[Path]:
    """Write the report, with a confusion matrix for each representation.

    Args:
        report: what is known of it.
        result: what is drawn.

    Returns:
        The files that were written.
    """
    written, blocks = [], []
    for name, probe in result.results.items():
        path = _path(report.folder, "confusion", name, len(result.results))
        counts = np.array(probe.metrics.confusion)
        plot_confusion(counts, probe.metrics.classes, path)
        written.append(path)
        caption = f"{name}: a row is the true class, a column the answer; percent of the row."
        blocks.append(Shades(probe.metrics.classes, counts.astype(int).tolist(), caption))
    return [*report.write([Section("Confusion", blocks)]), *written]


def report_pose(
    report: EvaluationReport, result: PoseResult, models: Mapping[str, FaceCycle]
) -> list[Path]:
    """Write the report, with predicted over true angles for each of ``models``.

    Arguments and result as of :func:`report_expression`.
    """
    written, blocks = [], []
    for name in models:
        path = _path(report.folder, "angles", name, len(models))
        svg = plot_scatter(result.truth, result.predicted[name], ANGLES, path)
        written.append(path)
        alt = f"predicted over true yaw, pitch and roll, by {name}"
        caption = f"{name}: each point is a picture; on the dotted line the answer is right."
        blocks.append(Figure(plot_of(svg, alt), caption))
    return [*report.write([Section("Predicted and true angles", blocks)]), *written]


def report_reconstruction(
    report: EvaluationReport, result: ReconstructionResult, models: Mapping[str, FaceCycle]
) -> list[Path]:
    """Write the report, with ``distributions.png``, and the steps of a few faces per model.

    Arguments and result as of :func:`report_expression`.
    """
    written = [report.folder / "distributions.png"]
    panels = {
        metric: {name: each.values[metric] for name, each in result.results.items()}
        for metric in _PLOTTED
    }
    svg = plot_histograms(panels, written[0])
    plot = plot_of(svg, "histograms of " + ", ".join(name.replace("_", " ") for name in panels))
    sections = [Section("Distributions", [Figure(plot, "How many faces have which value.")])]
    for name, measured in result.results.items():
        path = _path(report.folder, "faces", name, len(result.results))
        enlarged = [resize_crops(face, _SIDE) for face in measured.shown]
        cells = [
            SheetCell([picture], [step])
            for face in enlarged
            for picture, step in zip(face, STEPS, strict=True)
        ]
        sheet = contact_sheet(cells, columns=len(STEPS))
        provenance = _provenance("evaluate reconstruction", models[name])
        write_image(sheet, path, provenance=provenance)
        written.append(path)
        pairs = [
            (face[0], face[STEPS.index("neutral")], [f"face {number}"])
            for number, face in enumerate(enlarged, 1)
        ]
        sections += [
            Section(f"Steps of a few faces, {name}", [_sheet(cells, len(STEPS), provenance)]),
            Section(f"Photograph and neutral face, {name}", [_sliders(pairs, provenance)]),
        ]
    return [*report.write(sections, METRICS), *written]


def report_neutral(
    report: EvaluationReport, result: NeutralResult, models: Mapping[str, FaceCycle]
) -> list[Path]:
    """Write the report, and for each model a few inputs, their neutral faces, and the neutral
    photographs of the same people.

    Arguments and result as of :func:`report_expression`.
    """
    written, sections = [], []
    for name, shown in result.shown.items():
        path = _path(report.folder, "faces", name, len(result.shown))
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
        provenance = _provenance("evaluate neutral", models[name])
        write_image(sheet, path, provenance=provenance)
        written.append(path)
        pairs = [
            (each.crop, each.result, [each.face.expression, *cells[3 * i + 1].caption])
            for i, each in enumerate(shown)
        ]
        sections += [
            Section(f"Photograph and neutral face, {name}", [_sliders(pairs, provenance)]),
            Section(f"Beside the own neutral photograph, {name}", [_sheet(cells, 6, provenance)]),
        ]
    return [*report.write(sections), *written]


def _provenance(operation: str, model: FaceCycle) -> Provenance:
    info = model.checkpoint
    return Provenance(operation, info.sha256 if info else None)


def _sheet(cells: Sequence[SheetCell], columns: int, provenance: Provenance) -> Sheet:
    """A contact sheet for the page, whose captions stay text."""
    tiles = [
        SheetTile(
            [
                picture_of(picture, " ".join(cell.caption), provenance=provenance)
                for picture in cell.pictures
            ],
            cell.caption,
        )
        for cell in cells
    ]
    return Sheet(tiles, min(columns, len(cells)))


def _sliders(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, list[str]]], provenance: Provenance
) -> Sliders:
    return Sliders(
        [
            Slider(
                picture_of(before, f"{caption[0]}, the photograph", provenance=None),
                picture_of(after, f"{caption[0]}, the neutral face", provenance=provenance),
                caption,
            )
            for before, after, caption in pairs
        ],
        ("photograph", "neutral face"),
    )


def _path(folder: Path, what: str, name: str, count: int) -> Path:
    """``what.png``, or with several representations ``what_NAME.png``."""
    if count == 1:
        return folder / f"{what}.png"
    return folder / f"{what}_{safe_name(name)}.png"


def safe_name(name: str) -> str:
    """``name`` as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_.")
