"""The evaluations of the suite: each takes a data set's path and gives rows of the table."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facecycle_cli.errors import DataError
from facecycle_cli.evaluation.baselines import hog
from facecycle_cli.evaluation.expression import evaluate_expression
from facecycle_cli.evaluation.expression_data import load_expressions
from facecycle_cli.evaluation.expression_pcl import SIDE, pcl_extractor
from facecycle_cli.evaluation.group_data import draw_groups, find_groups
from facecycle_cli.evaluation.groups import ALL, evaluate_groups
from facecycle_cli.evaluation.neutral import Neutralization, evaluate_neutral
from facecycle_cli.evaluation.pose import evaluate_pose
from facecycle_cli.evaluation.pose_data import load_poses
from facecycle_cli.evaluation.probes import expression_extractor
from facecycle_cli.evaluation.reconstruction import evaluate_reconstruction
from facecycle_cli.evaluation.reenactment import Reenactment, evaluate_reenactment
from facecycle_cli.evaluation.reenactment_results import BASELINES, OUTPUT
from facecycle_cli.evaluation.suite_samples import Sample, some, some_expressions, some_poses
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media.files import expand_inputs
from facecycle_cli.media.posed import find_posed
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import CropSettings, Picture
from facecycle_cli.types import MediaKind
from facecycle_cli.verify.features import Extractor

__all__ = [
    "OURS",
    "Row",
    "SuiteTools",
    "TaskResult",
    "clips",
    "expressions",
    "faces",
    "groups",
    "neutral",
    "poses",
]

OURS = "ours"
"""The row of what is evaluated."""


@dataclass(frozen=True)
class Row:
    """One row of a data set's table.

    Attributes:
        method: what was measured.
        values: by name: shares in 0..1, angles in degrees, or plain numbers; None: not measured.
        protocol: how, in words.
        published: by others.
    """

    method: str
    values: dict[str, float | None]
    protocol: str
    published: bool = False


@dataclass(frozen=True)
class TaskResult:
    """What was measured on a data set.

    Attributes:
        rows: ours.
        numbers: everything, as report.json has it.
        problems: (name, reason) of each picture or clip that could not be used.
    """

    rows: list[Row]
    numbers: dict[str, Any]
    problems: list[tuple[str, Exception]]


@dataclass(frozen=True)
class SuiteTools:
    """What measures the data sets.

    Attributes:
        model: the networks.
        backend: finds the faces.
        judge: finds the landmarks that are measured in neutral faces and in clips.
        sample: how much of each data set is used.
        seed: random seed.
        on_done: called for every picture or clip.
    """

    model: FaceCycle
    backend: FaceBackend
    judge: FaceBackend
    sample: Sample = field(default_factory=Sample)
    seed: int = 0
    on_done: Callable[[Any], None] = lambda picture: None

    def crops(self, size: int | None = None, *, whole: bool = False) -> CropSettings:
        """Crops of ``size`` pixels; None: the networks'."""
        return CropSettings(size or self.model.config.image_size, whole_if_no_face=whole)


def expressions(path: Path, tools: SuiteTools) -> TaskResult:
    """Linear probes of code, convolution and HOG, and the protocol of PCL."""
    data = load_expressions(_inside(path, ".csv", ".npz"), tools.seed)
    data = some_expressions(data, tools.sample.pictures, tools.seed)
    model, whole = tools.model, tools.crops(whole=True)
    features: dict[str, Extractor] = {
        "code": expression_extractor(model, "code", mirrored=True),
        "conv": expression_extractor(model, "conv", mirrored=True),
        "hog": hog,
    }
    ours = evaluate_expression(
        data, features, whole, tools.backend, seed=tools.seed, on_done=tools.on_done
    )
    layer = evaluate_expression(
        data, {OURS: pcl_extractor(model)}, replace(whole, size=SIDE), tools.backend,
        protocol="pcl", seed=tools.seed, on_done=tools.on_done,
    )  # fmt: skip
    rows = [
        Row(
            name,
            {"accuracy": probe.metrics.accuracy, "macro recall": probe.metrics.macro_recall},
            f"{probe.dimensions} features, L2 penalty chosen on the validation split",
        )
        for name, probe in ours.results.items()
    ]
    pcl = layer.results[OURS]
    rows.append(
        Row(
            "conv, protocol of PCL",
            {"accuracy": pcl.metrics.accuracy, "macro recall": pcl.metrics.macro_recall},
            f"{pcl.dimensions} features of {SIDE}x{SIDE} pixels, one linear layer, last epoch",
        )
    )
    rows.append(
        Row(
            "  its best epoch",
            {"accuracy": pcl.fit["best_epoch_accuracy"]},
            "chosen on the test split, as PCL's code does: optimistic",
        )
    )
    numbers = {"validated": ours.to_json(), "pcl": layer.to_json()}
    return TaskResult(rows, numbers, ours.problems)


def poses(path: Path, tools: SuiteTools) -> TaskResult:
    """Linear regression of the head pose."""
    beside = path.parent / "300w_lp"
    fitted = load_poses(beside) if path.stem.lower() == "aflw2000" and beside.exists() else None
    count = tools.sample.pictures
    result = evaluate_pose(
        some_poses(load_poses(path), count, tools.seed),
        {"code": expression_extractor(tools.model, "code"),
         "conv": expression_extractor(tools.model, "conv")},
        tools.crops(),
        tools.backend,
        training=None if fitted is None else some_poses(fitted, count, tools.seed),
        seed=tools.seed,
        on_done=tools.on_done,
    )  # fmt: skip
    rows = [
        Row(name, {**errors.angles, "mean": errors.mean}, f"ridge regression, {result.protocol}")
        for name, errors in result.results.items()
    ]
    return TaskResult(rows, result.to_json(), result.problems)


def faces(path: Path, tools: SuiteTools) -> TaskResult:
    """What the two cycles lose."""
    pictures = some(_files(path, "image"), tools.sample.faces, tools.seed)
    result = evaluate_reconstruction(
        {OURS: tools.model}, map(Picture.file, pictures), tools.crops(), tools.backend,
        on_done=tools.on_done,
    )  # fmt: skip
    measured = {name: s.mean for name, s in result.results[OURS].metrics.items()}
    rows = [
        Row(
            name.replace("_", " "),
            {"L1": measured[f"{name}_l1"], "SSIM": measured[f"{name}_ssim"]},
            f"{result.faces} faces",
        )
        for name in ("motion_cycle", "identity_cycle", "both_cycles")
    ]
    similarities = {
        "its neutral face": measured["identity_similarity"],
        "a stranger's": measured["stranger_similarity"],
    }
    rows.append(Row("identity", {**similarities}, "cosine of a photograph with"))
    return TaskResult(rows, result.to_json(), result.problems)


def neutral(path: Path, tools: SuiteTools) -> TaskResult:
    """How near neutralize comes to people's own neutral photographs."""
    posed = find_posed(path)
    people = some(sorted({p.person for p in posed}), tools.sample.people, tools.seed)
    beside = path.parent / "turned"
    turned = _files(beside, "image") if beside.exists() else []
    result = evaluate_neutral(
        [picture for picture in posed if picture.person in set(people)],
        Neutralization({OURS: tools.model}, tools.backend, tools.judge),
        turned=map(Picture.file, some(turned, tools.sample.faces, tools.seed)),
        on_done=tools.on_done,
    )
    summary, counts = result.summaries[OURS], result.expression_counts()
    judged = f"landmarks by {result.judge}"
    rows = [
        Row(f"way: {name}", {"share": share}, f"{counts[name]} pictures, {judged}")
        for name, share in summary.way.items()
    ]
    rows.append(Row("way: mean", {"share": summary.way_mean}, judged))
    rows.append(Row("smile removed", {"share": summary.smile_removed}, judged))
    yaws = {"yaw before": summary.yaw_before, "yaw after": summary.yaw_after}
    rows.append(Row("frontalize", {**yaws, "slope": summary.yaw_slope}, judged))
    return TaskResult(rows, result.to_json(faces=False), result.problems)


def clips(path: Path, tools: SuiteTools) -> TaskResult:
    """Self-reenactment."""
    videos = some(_files(path, "video"), tools.sample.clips, tools.seed)
    result = evaluate_reenactment(
        videos,
        Reenactment(tools.model, tools.backend, tools.judge, max_frames=tools.sample.frames),
        on_done=tools.on_done,
    )
    if not result.clips:
        name, error = result.problems[0]
        raise DataError(f"no clip could be measured ({name}: {error})")
    judged = f"{len(result.clips)} clips, landmarks by {tools.judge.name}"
    rows = [
        Row(
            OURS if kind == OUTPUT else kind.replace("_", " "),
            {"L1": means["l1"], "SSIM": means["ssim"], "AKD": means["akd"],
             "identity": means["identity"]},
            judged,
        )
        for kind, means in result.picture_means().items()
        if kind in (OUTPUT, *BASELINES)
    ]  # fmt: skip
    rows += [
        Row(
            measure.replace("_", " "),
            {"slope": motion["slope"], "correlation": motion["correlation"]},
            f"{motion['clips']} clips that move",
        )
        for measure, motion in result.motion_means().items()
    ]
    numbers = {**result.to_json(), "clips": {clip.name: clip.to_json() for clip in result.clips}}
    return TaskResult(rows, numbers, result.problems)


def groups(path: Path, tools: SuiteTools) -> TaskResult:
    """Faces that are found, yaw that is left and what the motion cycle loses, group by group."""
    data = find_groups(path)
    drawn = draw_groups(data.pictures, tools.sample.group, tools.seed)
    result = evaluate_groups(drawn, tools.model, tools.backend, on_done=tools.on_done)
    rows = [
        Row(
            name,
            {
                "found": summary.found,
                "yaw before": summary.yaw_before,
                "yaw after": summary.yaw_after,
                "L1": summary.cycle_l1,
                "SSIM": summary.cycle_ssim,
            },
            f"{summary.pictures} pictures" + (" of all groups" if name == ALL else ""),
        )
        for name, summary in result.summaries.items()
    ]
    numbers = {**result.to_json(), "ungrouped": data.ungrouped}
    return TaskResult(rows, numbers, data.problems + result.problems)


def _files(path: Path, kind: MediaKind) -> list[str]:
    """The pictures or videos below a folder.

    Raises:
        DataError: there are none.
    """
    found = [item.path for item in expand_inputs([os.fspath(path)], {kind}) if not item.problem]
    if not found:
        raise DataError(f"no {kind} in it")
    return found


def _inside(path: Path, *suffixes: str) -> Path:
    """The one file with such a suffix in a folder, if there is one; else the path itself."""
    if not path.is_dir():
        return path
    files = [p for p in path.iterdir() if p.is_file() and p.suffix.lower() in suffixes]
    return files[0] if len(files) == 1 else path
