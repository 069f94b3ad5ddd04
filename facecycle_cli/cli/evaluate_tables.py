"""The tables that evaluate prints for people: a column for each checkpoint and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facecycle_cli.cli.tables import group_rows, number, percent, table

__all__ = ["expression_table", "pose_table", "reconstruction_table"]


def expression_table(result: Mapping[str, Any]) -> str:
    """Of :func:`evaluate_expression`: accuracy, recalls, and how many pictures they are of."""
    columns, counts = result["results"], result["counts"]
    rows = [["", *columns]]
    rows.append(["accuracy", *(percent(r["accuracy"]) for r in columns.values())])
    rows.append(["macro recall", *(percent(r["macro_recall"]) for r in columns.values())])
    first = next(iter(columns.values()))
    for name in first["recall"]:
        cells = [percent(r["recall"][name], 1) for r in columns.values()]
        rows.append([f"  {name} ({first['class_counts'][name]})", *cells])
    rows.append(["L2 penalty", *(f"{r['penalty']:g}" for r in columns.values())])
    head = (
        f"{result['layout']}, {result['features']} features: {counts['train']} training, "
        f"{counts['validation']} validation, {counts['test']} test pictures"
        f" ({counts['whole_pictures']} of them taken whole, no face found); naming the most"
        f" frequent class: {percent(result['chance'])}"
    )
    parts = [head, table(rows)]
    for name, numbers in columns.items():
        if groups := numbers.get("groups"):
            shown = {"pictures": "pictures", "accuracy": "accuracy", "macro_recall": "macro recall"}
            parts.append(f"{name}\n" + table(group_rows(groups, shown)))
    return "\n".join(parts)


def pose_table(result: Mapping[str, Any]) -> str:
    """Of :func:`evaluate_pose`: errors per angle."""
    columns, counts = result["results"], result["counts"]
    rows = [["MAE in degrees", *columns]]
    for key in ("yaw", "pitch", "roll", "mean"):
        rows.append([key, *(number(r[f"mae_{key}"], 2) for r in columns.values())])
    head = (
        f"{result['layout']}, {result['features']} features, {result['protocol']}: "
        f"{counts['pictures']} pictures ({counts['skipped']} without a face, "
        f"{counts['beyond_99_degrees']} beyond 99 degrees left out)"
    )
    parts = [head, table(rows)]
    for name, numbers in columns.items():
        if groups := numbers.get("groups"):
            shown = {"pictures": "pictures", "mae_yaw": "yaw", "mae_pitch": "pitch",
                     "mae_roll": "roll"}  # fmt: skip
            parts.append(f"{name}\n" + table(group_rows(groups, shown)))
    return "\n".join(parts)


def reconstruction_table(result: Mapping[str, Any]) -> str:
    """Of :func:`evaluate_reconstruction`: mean and standard deviation of every metric."""
    columns = result["results"]
    metrics = next(iter(columns.values()))["metrics"]
    rows = [["mean ± standard deviation", *columns]]
    for name in metrics:
        cells = (r["metrics"][name] for r in columns.values())
        rows.append([name, *(f"{number(c['mean'])} ± {number(c['std'])}" for c in cells)])
    for kind in ("input", "neutral", "mean_face"):
        cells = (r["spread"][kind] for r in columns.values())
        rows.append([f"spread over people, {kind}", *(number(c) for c in cells)])
    counts = result["counts"]
    return f"{counts['faces']} faces, {counts['skipped']} pictures without one\n{table(rows)}"
