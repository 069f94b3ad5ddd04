"""The report folder of ``verify``: curves, histograms, and the pictures of the worst errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facecycle_cli.evaluation.plots import plot_roc, plot_similarities
from facecycle_cli.evaluation.report import write_report
from facecycle_cli.evaluation.sheets import Cell, contact_sheet
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.portrait.crops import CropSettings, Picture, crop_faces
from facecycle_cli.verify.matching import Matches
from facecycle_cli.verify.metrics import roc
from facecycle_cli.verify.pairs import Pair

__all__ = ["report_against", "report_pairs"]

_WORST = 20
_SIDE = 128


def report_pairs(
    folder: Path,
    report: Mapping[str, Any],
    matches: Matches,
    threshold: float | None,
    settings: CropSettings,
    backend: FaceBackend,
) -> list[Path]:
    """Write ``report.json``, and for labeled pairs ``roc.png``, ``similarities.png`` and contact
    sheets of the worst errors, ``false_accepts.png`` and ``false_rejects.png``.

    Args:
        folder: is created.
        report: goes into ``report.json``.
        matches: the first extractor is the one that errors are looked for in.
        threshold: where its decisions change; None: of the highest accuracy.
        settings, backend: to look at the worst pairs' pictures again.

    Returns:
        What was written.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    written = [write_report(folder, report)]
    first = next(iter(matches.similarities))
    usable = np.isfinite(matches.similarities[first])
    used = [i for i, p in enumerate(matches.pairs) if p.same is not None and usable[i]]
    pairs = [matches.pairs[i] for i in used]
    same = np.array([bool(pair.same) for pair in pairs])
    if len(set(same.tolist())) < 2:
        return written
    curves = {name: roc(values[used], same) for name, values in matches.similarities.items()}
    plot_roc(curves, folder / "roc.png")
    similarities = matches.similarities[first][used]
    plot_similarities(similarities, same, threshold, folder / "similarities.png")
    written += [folder / "roc.png", folder / "similarities.png"]
    accepted = similarities >= (threshold if threshold is not None else np.median(similarities))
    for name, wrong, order in (
        ("false_accepts", accepted & ~same, np.argsort(-similarities, kind="stable")),
        ("false_rejects", ~accepted & same, np.argsort(similarities, kind="stable")),
    ):
        worst = [int(i) for i in order if wrong[i]][:_WORST]
        if worst:
            chosen = [(pairs[i], float(similarities[i])) for i in worst]
            sheet = _pair_sheet(chosen, settings, backend)
            write_image(sheet, folder / f"{name}.png", provenance=None)
            written.append(folder / f"{name}.png")
    return written


def _pair_sheet(
    pairs: Sequence[tuple[Pair, float]], settings: CropSettings, backend: FaceBackend
) -> np.ndarray:
    how = CropSettings(_SIDE, settings.aligned, whole_if_no_face=True, min_face=settings.min_face)
    names = list(dict.fromkeys(name for pair, _ in pairs for name in (pair.a, pair.b)))
    crops = {
        face.name: face.crop if face.crop is not None else np.zeros((_SIDE, _SIDE, 3), np.uint8)
        for face in crop_faces((Picture.file(name) for name in names), how, backend)
    }
    return contact_sheet(
        [Cell((crops[p.a], crops[p.b]), (f"{s:.3f}", _label(p.a), _label(p.b))) for p, s in pairs]
    )


def _label(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def report_against(
    folder: Path, report: Mapping[str, Any], examples: Sequence[Any], provenance: Provenance
) -> list[Path]:
    """Write ``report.json`` and ``examples.png``: originals beside what was generated from them."""
    written = [write_report(folder, report)]
    cells = [Cell((original, made), (f"{value:.3f}",)) for original, made, value in examples]
    if cells:
        write_image(contact_sheet(cells), folder / "examples.png", provenance=provenance)
        written.append(folder / "examples.png")
    return written
