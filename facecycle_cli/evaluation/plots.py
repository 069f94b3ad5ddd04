"""The figures of ``evaluate``: confusion matrices, scatter plots and histograms by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from facecycle_cli.media.reports import figure_svg, new_figure, save_figure
from facecycle_cli.text import one_line

__all__ = ["plot_confusion", "plot_histograms", "plot_scatter"]

_BLUE, _GRAY = "#3465a4", "#888888"
_COLORS = (_BLUE, _GRAY, "#d9822b", "#5c9e4a", "#8e5ea2")


def _literal(name: str) -> str:
    """A name for matplotlib to show as it is.

    Dollar signs would make it a formula, and an underscore in front keeps it out of legends.
    """
    text = one_line(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def plot_confusion(matrix: np.ndarray, classes: Sequence[str], path: Path) -> None:
    """A confusion matrix (C, C) of counts: rows are the truth, shades its share per row."""
    count = len(classes)
    side = 2.2 + 0.62 * count
    figure, (axes,) = new_figure((side, side))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [_literal(name) for name in classes]
    axes.set_xticks(range(count), names, rotation=45, ha="right")
    axes.set_yticks(range(count), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for i in range(count):
        for j in range(count):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", color=color)
    axes.set_title("percent of each true class", fontsize="medium")
    save_figure(figure, path)


def plot_scatter(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str], path: Path) -> str:
    """Predicted over true values (N, K), one panel per column. Returns it as SVG, too."""
    figure, panels = new_figure((3.6 * len(names), 3.8), len(names))
    for i, name in enumerate(names):
        axes = panels[i]
        low, high = float(truth[:, i].min()), float(truth[:, i].max())
        axes.plot([low, high], [low, high], color=_GRAY, linewidth=1, linestyle=":")
        axes.scatter(
            truth[:, i], predicted[:, i], s=4, alpha=0.4, color=_BLUE, linewidths=0, rasterized=True
        )
        axes.set(xlabel=f"true {name} (degrees)", ylabel=f"predicted {name}")
        axes.set_aspect("equal", adjustable="datalim")
    save_figure(figure, path)
    return figure_svg(figure)


def plot_histograms(panels: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> str:
    """One panel per metric, one outline per name: panels[metric][name] is (N,). Returns it as SVG,
    too.
    """
    figure, axes = new_figure((3.4 * len(panels), 3.2), len(panels))
    for i, (metric, values) in enumerate(panels.items()):
        joined = np.concatenate(list(values.values()))
        bins = np.linspace(float(joined.min()), float(joined.max()) + 1e-9, 31).tolist()
        panel = axes[i]
        for k, (name, each) in enumerate(values.items()):
            panel.hist(
                each, bins, histtype="step", color=_COLORS[k % len(_COLORS)], label=_literal(name)
            )
        panel.set(xlabel=metric.replace("_", " "), ylabel="faces" if i == 0 else "")
        if len(values) > 1:
            panel.legend(frameon=False, fontsize="small")
    save_figure(figure, path)
    return figure_svg(figure)
