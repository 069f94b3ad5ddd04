"""The tables that evaluate prints for people: a column for each checkpoint and baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from facecycle_cli.cli.tables import counted, group_rows, number, percent, plus_minus
from facecycle_cli.pages.blocks import Table
from facecycle_cli.text import one_line

if TYPE_CHECKING:
    from facecycle_cli.evaluation.expression import ExpressionResult
    from facecycle_cli.evaluation.pose import PoseResult
    from facecycle_cli.evaluation.reconstruction import ReconstructionResult
    from facecycle_cli.evaluation.reenactment import Reenactment
    from facecycle_cli.evaluation.reenactment_results import ClipResult, ReenactmentResult
    from facecycle_cli.types import Features


def expression_table(result: ExpressionResult, features: Features) -> list[str | Table]:
    """Accuracy and recalls, and how many pictures they are of."""
    columns, counts = result.results, result.split_counts
    metrics = [probe.metrics for probe in columns.values()]
    rows = [["", *columns]]
    rows.append(["accuracy", *(percent(m.accuracy) for m in metrics)])
    rows.append(["macro recall", *(percent(m.macro_recall) for m in metrics)])
    for name in metrics[0].recall:
        cells = [percent(m.recall[name], 1) for m in metrics]
        rows.append([f"  {name} ({metrics[0].class_counts[name]})", *cells])
    fits = [probe.fit for probe in columns.values()]
    if result.protocol == "pcl":
        rows.append(["best epoch of the test split", *(str(fit["best_epoch"]) for fit in fits)])
        rows.append(["  accuracy there", *(percent(fit["best_epoch_accuracy"]) for fit in fits)])
    else:
        rows.append(["L2 penalty", *(f"{fit['penalty']:g}" for fit in fits)])
    what = "protocol of PCL" if result.protocol == "pcl" else f"{features} features"
    head = (
        f"{result.layout}, {what}: {counts['train']} training, "
        f"{counts['validation']} validation, {counted(counts['test'], 'test picture')}"
        f" ({result.whole_pictures} of them taken whole, no face found); naming the most"
        f" frequent class: {percent(result.chance)}"
    )
    parts: list[str | Table] = [head, Table(rows)]
    shown = {"pictures": "pictures", "accuracy": "accuracy", "macro_recall": "macro recall"}
    for name, probe in columns.items():
        if groups := probe.to_json().get("groups"):
            parts += [one_line(name), Table(group_rows(groups, shown))]
    return parts


def pose_table(result: PoseResult, features: Features) -> list[str | Table]:
    """Errors of each angle."""
    columns, counts = result.results, result.counts
    rows = [["MAE in degrees", *columns]]
    for angle in ("yaw", "pitch", "roll"):
        rows.append([angle, *(number(errors.angles[angle], 2) for errors in columns.values())])
    rows.append(["mean", *(number(errors.mean, 2) for errors in columns.values())])
    damaged = counts.get("damaged", 0)
    unreadable = f"{damaged} with a damaged pose, " if damaged else ""
    head = (
        f"{result.layout}, {features} features, {result.protocol}: "
        f"{counted(counts['pictures'], 'picture')} ({counts['skipped'] - damaged} without a face, "
        f"{unreadable}"
        f"{counts['beyond_99_degrees']} beyond 99 degrees left out)"
    )
    parts: list[str | Table] = [head, Table(rows)]
    shown = {"pictures": "pictures", "mae_yaw": "yaw", "mae_pitch": "pitch", "mae_roll": "roll"}
    for name, errors in columns.items():
        if groups := errors.to_json().get("groups"):
            parts += [one_line(name), Table(group_rows(groups, shown))]
    return parts


def reconstruction_table(result: ReconstructionResult) -> list[str | Table]:
    """Mean and standard deviation of every metric."""
    columns = result.results
    summaries = [measured.metrics for measured in columns.values()]
    pm = plus_minus()
    rows = [[f"mean {pm} standard deviation", *columns]]
    for name in summaries[0]:
        cells = (metrics[name] for metrics in summaries)
        rows.append([name, *(f"{number(c.mean)} {pm} {number(c.std)}" for c in cells)])
    for kind in ("input", "neutral", "mean_face"):
        spreads = (measured.spread[kind] for measured in columns.values())
        rows.append([f"spread over people, {kind}", *(number(spread) for spread in spreads)])
    skipped = counted(len(result.problems), "picture")
    return [f"{counted(result.faces, 'face')}, {skipped} without one", Table(rows)]


def reenactment_table(result: ReenactmentResult, how: Reenactment) -> list[str | Table]:
    """Means over clips of pictures and motion, then each clip beside its baselines."""
    from facecycle_cli.evaluation.motion_measures import MEASURES
    from facecycle_cli.evaluation.reenactment_results import OUTPUT

    means, motion = result.picture_means(), result.motion_means()
    kind = "self-reenactment" if how.cross is None else "cross-reenactment"
    frames, lost, unseen = (
        sum(getattr(clip, name) for clip in result.clips)
        for name in ("frames", "source_lost", "output_lost")
    )
    head = (
        f"{kind}, {how.settings.motion} motion from {how.settings.motion_from}, "
        f"mouth by {how.settings.mouth}: "
        f"{counted(len(result.clips), 'clip')}, {counted(frames, 'frame')} ({lost} more without "
        f"the face, {unseen} without one in the output)"
    )
    judged = f"({how.judge.name})"
    rows = [["mean over clips", *(name.replace("_", " ") for name in means)]]
    for key, name, digits in (
        ("l1", "L1 in the face's box", 4),
        ("ssim", "SSIM in the face's box", 4),
        ("akd", f"AKD, % of the eye distance {judged}", 2),
        ("akd_aligned", "  after the best similarity", 2),
        ("identity", "identity similarity", 3),
    ):
        if means[OUTPUT][key] is not None:
            rows.append([name, *(number(values[key], digits) for values in means.values())])
    parts: list[str | Table] = [head, Table(rows)]
    if flicker := result.flicker_means():
        output, source = (number(flicker[name], 2) for name in ("output", "source"))
        parts.append(f"flicker in still parts, in gray levels: {output}, the source's own {source}")
    rows = [[f"motion {judged}", "slope", "correlation", "clips that move"]]
    for measure in MEASURES:
        values = motion[measure.name]
        cells = (number(values[key], 2) for key in ("slope", "correlation"))
        rows.append([measure.name.replace("_", " "), *cells, str(values["clips"])])
    parts.append(Table(rows))
    if flicker:
        parts.append(_clip_rows(result.clips))
        parts.append(
            "better than both baselines in L1 and in SSIM: "
            f"{result.better} of {counted(len(result.clips), 'clip')}"
        )
    if how.judge.name == how.backend.name:
        parts.append(f"{judged}: measured by the landmarks that also lead translate")
    return parts


def _clip_rows(clips: Sequence[ClipResult]) -> Table:
    """Each clip: output / first frame / best similarity."""
    rows = [["output / first frame / best similarity", "L1", "SSIM", "AKD", "better"]]
    for clip in clips:
        kinds = clip.pictures.values()
        cells = [
            " / ".join(number(getattr(errors, key), digits) for errors in kinds)
            for key, digits in (("l1", 4), ("ssim", 3), ("akd", 1))
        ]
        rows.append([clip.name, *cells, "yes" if clip.better else "no"])
    return Table(rows)
