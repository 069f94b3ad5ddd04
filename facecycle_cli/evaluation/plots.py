"""The pictures of a report: curves, histograms and matrices by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facecycle_cli.system import atomic_path, import_extra
from facecycle_cli.verify.metrics import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_confusion", "plot_histograms", "plot_roc", "plot_scatter", "plot_similarities"]

_BLUE, _ORANGE, _GRAY = "#3465a4", "#d9822b", "#888888"
_COLORS = (_BLUE, _GRAY, _ORANGE, "#5c9e4a", "#8e5ea2")
_SIZE = (6.0, 4.5)


def _figure(size: tuple[float, float] = _SIZE, columns: int = 1) -> tuple[Figure, Any]:
    """A figure that belongs to no window system and no global state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = import_extra("matplotlib.figure").Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes if columns > 1 else axes[0]


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as temporary:
        # Without the date and the version, the same numbers give the same bytes.
        figure.savefig(temporary, dpi=150, metadata={"Software": None})


def plot_roc(curves: Mapping[str, Curve], path: Path, *, mark: float | None = None) -> None:
    """True accepts over false accepts, the latter on a logarithmic axis.

    Args:
        curves: by name; the first is drawn most prominently.
        path: the PNG to write.
        mark: a false-accept rate to mark.
    """
    figure, axes = _figure()
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
    if mark is not None and mark >= lowest:
        axes.axvline(mark, color=_GRAY, linewidth=0.8)
    axes.set(xscale="log", xlim=(lowest, 1), ylim=(0, 1.01))
    axes.set(xlabel="false accept rate", ylabel="true accept rate")
    axes.grid(alpha=0.25, which="major")
    axes.legend(frameon=False, loc="upper left")
    _save(figure, path)


def plot_similarities(
    similarities: np.ndarray, same: np.ndarray, threshold: float | None, path: Path
) -> None:
    """How the similarities of same and different pairs are distributed, and where the border is."""
    figure, axes = _figure()
    bins = np.linspace(float(similarities.min()), float(similarities.max()), 41)
    for kind, color, name in ((False, _ORANGE, "different"), (True, _BLUE, "same")):
        values = similarities[same == kind]
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
    _save(figure, path)


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """A confusion matrix (C, C) of counts: rows are the truth, shades its share per row."""
    count = len(classes)
    side = 2.2 + 0.62 * count
    figure, axes = _figure((side, side))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(count), classes, rotation=45, ha="right")
    axes.set_yticks(range(count), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for i in range(count):
        for j in range(count):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", color=color)
    axes.set_title("percent of each true class", fontsize="medium")
    _save(figure, path)


def plot_scatter(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], path: Path
) -> None:
    """Predicted over true values (N, K), one panel per column."""
    figure, panels = _figure((3.6 * len(names), 3.8), len(names))
    for i, name in enumerate(names):
        axes = panels[i] if len(names) > 1 else panels
        low, high = float(truth[:, i].min()), float(truth[:, i].max())
        axes.plot([low, high], [low, high], color=_GRAY, linewidth=1, linestyle=":")
        axes.scatter(truth[:, i], predicted[:, i], s=4, alpha=0.4, color=_BLUE, linewidths=0)
        axes.set(xlabel=f"true {name} (degrees)", ylabel=f"predicted {name}")
        axes.set_aspect("equal", adjustable="datalim")
    _save(figure, path)


def plot_histograms(panels: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> None:
    """One panel per metric, one outline per name: panels[metric][name] is (N,)."""
    figure, axes = _figure((3.4 * len(panels), 3.2), len(panels))
    for i, (metric, values) in enumerate(panels.items()):
        joined = np.concatenate(list(values.values()))
        bins = np.linspace(float(joined.min()), float(joined.max()) + 1e-9, 31)
        panel = axes[i] if len(panels) > 1 else axes
        for k, (name, each) in enumerate(values.items()):
            panel.hist(each, bins, histtype="step", color=_COLORS[k % len(_COLORS)], label=name)
        panel.set(xlabel=metric.replace("_", " "), ylabel="faces" if i == 0 else "")
        if len(values) > 1:
            panel.legend(frameon=False, fontsize="small")
    _save(figure, path)
