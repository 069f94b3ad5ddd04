"""Verification in the suite: pairs of photographs, and of photographs and generated faces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from facecycle_cli.evaluation.baselines import hog, lbp
from facecycle_cli.evaluation.suite_tasks import OURS, Row, SuiteTools, TaskResult
from facecycle_cli.types import Against
from facecycle_cli.verify.decision import DecisionRule
from facecycle_cli.verify.features import Extractor
from facecycle_cli.verify.generated import AgainstResult, AgainstSettings, verify_against
from facecycle_cli.verify.lists import read_pairs
from facecycle_cli.verify.pairs import Pair, draw_pairs, match_pairs, sample_pairs
from facecycle_cli.verify.verify import identity_embedding

__all__ = ["pairs"]

_DRAWN = 2000
"""Pairs that are drawn from a folder of people without a list."""

_GENERATED = frozenset({"lfw", "people"})
"""Data sets on which generated faces are verified, too."""

_DRAWN_GENERATED = 1000
"""Pairs that are drawn for that (supplementary, section 5)."""


def pairs(path: Path, tools: SuiteTools) -> TaskResult:
    """Verification of a list of pairs, or of pairs drawn from a folder of people."""
    listed, how = _pairs(path, tools)
    extractors: dict[str, Extractor] = {
        OURS: partial(identity_embedding, tools.model),
        "hog": hog,
        "lbp": lbp,
    }
    settings = tools.crops(tools.model.verifier.side)
    matches = match_pairs(listed, extractors, settings, tools.backend, on_done=tools.on_done)
    rule = DecisionRule()
    statistics = rule.statistics(
        matches, OURS, rule.fixed(tools.model), measured_on=path.name, seed=tools.seed
    )
    rows = [
        Row(
            name,
            {
                "accuracy": metrics.accuracy,
                "standard error": metrics.accuracy_standard_error,
                "AUC": metrics.auc,
                "TAR at FAR 0.01": metrics.tar_at_far["0.01"],
            },
            how,
        )
        for name, metrics in {OURS: statistics.metrics, **statistics.baselines}.items()
    ]
    numbers, problems = statistics.to_json(), dict(matches.problems)
    if path.stem.lower() in _GENERATED:
        for against in get_args(Against):
            result = _against(against, listed, tools)
            values = {"accuracy": result.generated.accuracy, "AUC": result.generated.auc}
            how = f"{result.pairs} pairs, half of them of different people"
            rows.append(Row(f"a face and what {against} makes of it", {**values}, how))
            numbers[f"against {against}"] = result.to_json()
            problems |= dict(result.problems)
    return TaskResult(rows, numbers, list(problems.items()))


def _pairs(path: Path, tools: SuiteTools) -> tuple[list[Pair], str]:
    """The pairs, and where they are from."""
    count, seed = tools.sample.pairs, tools.seed
    named = [path / f"pairs{suffix}" for suffix in (".txt", ".csv", ".tsv")]
    lists = [path] if path.is_file() else [p for p in named if p.is_file()]
    lists = lists or sorted(path.glob("pairs_*.txt"))
    if not lists:
        drawn = draw_pairs(path, count or _DRAWN, seed)
        return drawn, f"{len(drawn)} drawn pairs, ten folds"
    images = path / "images"
    listed = read_pairs(lists[0], images if images.is_dir() else None)
    if count is not None and len(listed) > count:
        return sample_pairs(listed, count, seed), f"{count} pairs of {lists[0].name}"
    return listed, f"the pairs of {lists[0].name}, ten folds"


def _against(against: Against, listed: Sequence[Pair], tools: SuiteTools) -> AgainstResult:
    """How well generated faces verify as their originals."""
    drawn = sample_pairs(listed, tools.sample.pairs or _DRAWN_GENERATED, tools.seed)
    return verify_against(
        drawn,
        AgainstSettings(against, seed=tools.seed),
        tools.model,
        tools.backend,
        on_done=tools.on_done,
    )
