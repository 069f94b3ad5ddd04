"""The report folders of ``verify``: curves, histograms, and the pictures behind the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.faces import FaceBackend
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.media.reports import (
    SheetCell,
    contact_sheet,
    figure_svg,
    new_figure,
    save_figure,
    write_report,
)
from facecycle_cli.model import FaceCycle
from facecycle_cli.pages.blocks import (
    Block,
    Figure,
    Page,
    Section,
    Sheet,
    SheetTile,
    Slider,
    Sliders,
)
from facecycle_cli.pages.embed import picture_of, plot_of
from facecycle_cli.pages.render import write_index
from facecycle_cli.pages.traces import traces_of
from facecycle_cli.portrait.crops import CropSettings, FaceCrop, Picture, crop_faces
from facecycle_cli.text import one_line
from facecycle_cli.verify.generated import GeneratedExample
from facecycle_cli.verify.pairs import LabeledPairs, Matches, Pair
from facecycle_cli.verify.roc import RocCurve, roc

__all__ = [
    "PairPictures",
    "PairsReport",
    "describe_model",
    "plot_roc",
    "plot_similarities",
    "report_against",
    "report_pairs",
]

_WORST = 20
"""Pairs on a contact sheet of errors."""

_SIDE = 128
"""Of a face on a contact sheet, in pixels."""

_ROC_CAPTION = (
    "For every threshold: which share of the pairs of the same person is accepted, over the share "
    "of the pairs of different people that is. The further to the upper left, the better."
)
_SIMILARITIES_CAPTION = (
    "How similar pairs of the same person and of different people are. The less they overlap, the "
    "better."
)
_ERRORS = {
    "false_accepts": "Different people, accepted: the worst",
    "false_rejects": "The same person, rejected: the worst",
}
"""Contact sheets, and their headings."""

_BLUE, _ORANGE, _GRAY = "#3465a4", "#d9822b", "#888888"
_COLORS = (_BLUE, _GRAY, _ORANGE, "#5c9e4a", "#8e5ea2")


def describe_model(model: FaceCycle) -> dict[str, Any]:
    """Which weights: file, hash, configuration, stage and steps of training."""
    info = model.checkpoint
    metadata = info.metadata if info else {}
    return {
        "path": str(info.path) if info else None,
        "sha256": info.sha256 if info else None,
        "preset": model.config.preset,
        "image_size": model.config.image_size,
        "stage": metadata.get("stage"),
        "steps": metadata.get("steps"),
    }


# -- lists of pairs -------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairPictures:
    """How to look at the pictures of pairs again.

    Attributes:
        settings: how pictures become crops.
        backend: finds the faces.
    """

    settings: CropSettings
    backend: FaceBackend


@dataclass(frozen=True)
class PairsReport:
    """What is known of a report before its pictures are made.

    Attributes:
        folder: is created.
        numbers: the content of ``report.json``.
        summary: the tables of the page.
    """

    folder: Path
    numbers: Mapping[str, Any]
    summary: Sequence[Block]

    def write(self, title: str, sections: Sequence[Section]) -> list[Path]:
        """Write ``report.json`` and ``index.html``; returns both."""
        page = Page(title, self.summary, sections, traces=traces_of(self.numbers))
        return [write_report(self.folder, self.numbers), write_index(self.folder, page)]


def report_pairs(
    report: PairsReport,
    matches: Matches,
    threshold: float | None,
    pictures: PairPictures,
) -> list[Path]:
    """Write ``report.json`` and ``index.html``; for labeled pairs also ``roc.png``,
    ``similarities.png`` and contact sheets of the worst errors, ``false_accepts.png`` and
    ``false_rejects.png``.

    Args:
        report: what is known of it.
        matches: errors are those of the first extractor.
        threshold: minimum similarity to call two faces the same person; None: the median.
        pictures: how to look at the worst pairs.

    Returns:
        The files that were written.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    title, folder = "Verification of pairs", report.folder
    labeled = {name: matches.labeled(name) for name in matches.similarities}
    first = next(iter(labeled.values()))
    if len(set(first.same.tolist())) < 2:
        return report.write(title, [])
    curves = plot_roc(
        {name: roc(each.similarities, each.same) for name, each in labeled.items()},
        folder / "roc.png",
    )
    bars = plot_similarities(first, threshold, folder / "similarities.png")
    sections = [
        Section("ROC curve", [Figure(plot_of(curves, "true over false accepts"), _ROC_CAPTION)]),
        Section(
            "Similarities",
            [Figure(plot_of(bars, "histograms of similarities"), _SIMILARITIES_CAPTION)],
        ),
    ]
    written = [folder / "roc.png", folder / "similarities.png"]
    limit = float(np.median(first.similarities)) if threshold is None else threshold
    for name, worst in _worst_errors(first, limit).items():
        if worst:
            chosen = [(first.pairs[i], float(first.similarities[i])) for i in worst]
            cells = _pair_cells(chosen, pictures)
            write_image(contact_sheet(cells), folder / f"{name}.png", provenance=None)
            written.append(folder / f"{name}.png")
            sections.append(Section(_ERRORS[name], [_pair_sheet(cells)]))
    return [*report.write(title, sections), *written]


def _worst_errors(labeled: LabeledPairs, threshold: float) -> dict[str, list[int]]:
    """Positions of the wrongly accepted and of the wrongly rejected pairs, the worst ones first."""
    accepted = labeled.similarities >= threshold
    falling = np.argsort(-labeled.similarities, kind="stable")
    rising = np.argsort(labeled.similarities, kind="stable")
    accepts, rejects = accepted & ~labeled.same, ~accepted & labeled.same
    return {
        "false_accepts": [int(i) for i in falling if accepts[i]][:_WORST],
        "false_rejects": [int(i) for i in rising if rejects[i]][:_WORST],
    }


def _pair_cells(pairs: Sequence[tuple[Pair, float]], pictures: PairPictures) -> list[SheetCell]:
    settings = CropSettings(
        _SIDE,
        pictures.settings.aligned,
        whole_if_no_face=True,
        min_face=pictures.settings.min_face,
    )
    names = list(dict.fromkeys(name for pair, _ in pairs for name in (pair.a, pair.b)))
    missing = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    crops = {
        face.name: face.crop if isinstance(face, FaceCrop) else missing
        for face in crop_faces((Picture.file(name) for name in names), settings, pictures.backend)
    }
    return [
        SheetCell((crops[p.a], crops[p.b]), (f"{s:.3f}", _label(p.a), _label(p.b)))
        for p, s in pairs
    ]


def _pair_sheet(cells: Sequence[SheetCell]) -> Sheet:
    """The same for a page: captions stay text."""
    return Sheet(
        [
            SheetTile(
                [
                    picture_of(picture, name, provenance=None)
                    for picture, name in zip(cell.pictures, cell.caption[1:], strict=True)
                ],
                [f"similarity {cell.caption[0]}", *cell.caption[1:]],
            )
            for cell in cells
        ]
    )


def _label(path: str) -> str:
    return one_line("/".join(Path(path).parts[-2:]))


def plot_roc(curves: Mapping[str, RocCurve], path: Path) -> str:
    """True accepts over false accepts, the latter on a logarithmic axis.

    Args:
        curves: by name; the first is drawn most prominently.
        path: the PNG to write.

    Returns:
        The same as SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure()
    # Steps, as they are measured: a straight line would promise rates that nobody has seen.
    for i, (name, curve) in enumerate(curves.items()):
        axes.step(
            curve.far,
            curve.tar,
            where="post",
            color=_COLORS[i % len(_COLORS)],
            linewidth=2.0 if i == 0 else 1.2,
            label=f"{name} (AUC {curve.auc:.3f})",
        )
    lowest = min(float(curve.far[curve.far > 0].min()) for curve in curves.values())
    chance = np.geomspace(lowest, 1, 200)
    axes.plot(chance, chance, color=_GRAY, linestyle=":", linewidth=1, label="chance")
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.01))
    axes.set(xlabel="false accept rate", ylabel="true accept rate")
    axes.grid(alpha=0.25, which="major")
    axes.legend(frameon=False, loc="upper left")
    save_figure(figure, path)
    return figure_svg(figure)


def plot_similarities(labeled: LabeledPairs, threshold: float | None, path: Path) -> str:
    """Histograms of the similarities of same and of different pairs, and the threshold.

    Returns:
        The same as SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure, (axes,) = new_figure()
    similarities = labeled.similarities
    bins = np.linspace(float(similarities.min()), float(similarities.max()), 41).tolist()
    for kind, color, name in ((False, _ORANGE, "different"), (True, _BLUE, "same")):
        values = similarities[labeled.same == kind]
        weights = np.full(len(values), 1 / max(1, len(values)))
        axes.hist(
            values,
            bins,
            weights=weights,
            color=color,
            alpha=0.55,
            label=f"{name} person ({len(values)} pairs)",
        )
    if threshold is not None:
        axes.axvline(threshold, color="black", linewidth=1, label=f"threshold {threshold:.3f}")
    axes.set(xlabel="cosine similarity", ylabel="share of the pairs")
    axes.legend(frameon=False)
    save_figure(figure, path)
    return figure_svg(figure)


# -- generated faces ------------------------------------------------------------------------------


def report_against(
    report: PairsReport, examples: Sequence[GeneratedExample], provenance: Provenance
) -> list[Path]:
    """Write ``report.json``, ``index.html`` and ``examples.png``: originals beside what was
    generated from them.

    Args:
        report: what is known of it.
        examples: none, where nothing was generated.
        provenance: of what was generated.

    Returns:
        The files that were written.
    """
    title = "Generated faces against their originals"
    if not examples:
        return report.write(title, [])
    cells = [SheetCell((e.original, e.generated), (f"{e.similarity:.3f}",)) for e in examples]
    path = report.folder / "examples.png"
    write_image(contact_sheet(cells), path, provenance=provenance)
    pairs = [
        Slider(
            picture_of(each.original, f"example {number}, the original", provenance=None),
            picture_of(each.generated, f"example {number}, generated", provenance=provenance),
            (f"example {number}", f"similarity {each.similarity:.3f}"),
        )
        for number, each in enumerate(examples, 1)
    ]
    section = Section("Examples", [Sliders(pairs, ("original", "generated"))])
    return [*report.write(title, [section]), path]
