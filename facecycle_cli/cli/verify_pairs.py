"""The part of verify that takes lists of pairs: rows, statistics, reports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.tables import (
    baselines,
    blocks,
    counted,
    group_rows,
    number,
    percent,
    plus_minus,
    printed,
    report_folder,
    say_problems,
    say_written,
)
from facecycle_cli.errors import CommandError, EvaluationError, ThresholdError
from facecycle_cli.pages.blocks import Table
from facecycle_cli.types import Against, AlignerName

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.crops import CropSettings
    from facecycle_cli.verify.decision import DecisionRule
    from facecycle_cli.verify.features import Extractor
    from facecycle_cli.verify.generated import AgainstResult
    from facecycle_cli.verify.metrics import VerificationMetrics
    from facecycle_cli.verify.pairs import Matches, Pair, PairStatistics
    from facecycle_cli.verify.threshold import Calibration

_DRAWN = 2000
_DRAWN_AGAINST = 1000
"""Pairs that are drawn: from a folder of people, and for --against (supplementary, section 5)."""

_IDENTITY = "identity"
_STATISTICS = "sklearn.metrics"


@dataclass(frozen=True)
class PairsJob:
    """What a call of ``verify --pairs`` asks for: each attribute is the option of its name."""

    pairs: str
    root: Path | None
    draw: int | None
    threshold: float | None
    far: float | None
    calibrate: Path | None
    baseline: bool
    fail_on_missing: bool
    aligned: bool
    aligner: AlignerName
    report: Path | None
    overwrite: bool
    checkpoint: str
    device: str
    seed: int

    def run(self, console: Console) -> None:
        """Compare every pair; print a row for each, and for labeled pairs the statistics."""
        from facecycle_cli.system import import_in_thread
        from facecycle_cli.verify.report import PairPictures, PairsReport, report_pairs

        pairs = self._list(console, self.draw or _DRAWN)
        labeled = any(pair.same is not None for pair in pairs)
        if labeled:
            self._need_statistics()
        elif self.calibrate is not None:
            raise CommandError(f"{self.pairs}: --calibrate needs labeled pairs (a column `same`)")
        folder = report_folder(self.report, self.overwrite, console)
        calibrated = self._calibrated(console)
        model, backend = self._open()
        if labeled:
            import_in_thread(_STATISTICS)
        matches = self._match(pairs, model, backend, console)
        say_problems(matches.problems.items(), console)
        counts = matches.counts()
        statistics = self._statistics(matches, model) if labeled else None
        threshold = statistics.threshold if statistics else self._unlabeled_threshold(model)
        _print_rows(matches, threshold, console)
        parts: list[str | Table] = []
        summary: dict[str, Any] = {"pairs_file": self.pairs, **asdict(counts)}
        if statistics is not None:
            summary |= {**statistics.to_json(), **self._traces(model)}
            parts = _summary(statistics)
            console.result(printed(parts, prefix="# "), {"summary": True, **summary})
        compared = (
            f"{counted(counts.pairs_compared, 'pair')} of "
            f"{counted(counts.different_pictures, 'different picture')} compared, "
            f"{counts.pairs_skipped} left out "
            f"({counted(counts.files_missing, 'picture')} missing or unreadable, "
            f"{counts.files_without_face} without a face)"
        )
        console.note(compared)
        if folder is not None:
            complete = {**summary, **self._traces(model)}
            pictures = PairPictures(self._settings(model.verifier.side), backend)
            report = PairsReport(folder, complete, blocks([compared, *parts]))
            say_written(report_pairs(report, matches, threshold, pictures), console)
        if calibrated is not None and statistics is not None:
            self._write_calibrated(calibrated, statistics.calibration, model, console)
        if counts.pairs_skipped:
            raise typer.Exit(1)

    def run_against(self, against: Against, console: Console) -> None:
        """Verify generated faces against originals and print how well that goes."""
        self._need_statistics()
        from facecycle_cli.media import Provenance
        from facecycle_cli.verify.generated import AgainstSettings, verify_against
        from facecycle_cli.verify.pairs import sample_pairs
        from facecycle_cli.verify.report import PairsReport, report_against

        count = self.draw or _DRAWN_AGAINST
        with prefix_errors(self.pairs):
            pairs = sample_pairs(self._list(console, count), count, self.seed)
        folder = report_folder(self.report, self.overwrite, console)
        model, backend = self._open()
        settings = AgainstSettings(against, self.aligned, self._fixed_threshold(model), self.seed)
        with console.progress("faces", 4 * len(pairs)) as progress, prefix_errors(self.pairs):
            result = verify_against(
                pairs, settings, model, backend,
                on_done=lambda face: progress.advance(text=face.name),
            )  # fmt: skip
        failed = say_problems(result.problems, console)
        fields = {**result.to_json(), **self._traces(model)}
        parts = _against_table(result)
        console.result(printed(parts), fields)
        if folder is not None:
            info = model.checkpoint
            provenance = Provenance(f"verify --against {against}", info.sha256 if info else None)
            report = PairsReport(folder, fields, blocks(parts))
            written = report_against(report, result.examples, provenance)
            say_written(written, console)
        if failed:
            raise typer.Exit(1)

    # -- parts ------------------------------------------------------------------------------------

    def _need_statistics(self) -> None:
        from facecycle_cli.system import require_extra

        with prefix_errors("verify --pairs with labels"):
            require_extra(_STATISTICS)

    def _list(self, console: Console, count: int) -> list[Pair]:
        from facecycle_cli.media.files import LeftOut
        from facecycle_cli.verify.lists import read_pairs
        from facecycle_cli.verify.pairs import draw_pairs

        with prefix_errors(self.pairs):
            if self.pairs == "-":
                return read_pairs(sys.stdin.buffer, self.root)
            if Path(self.pairs).is_dir():
                left_out = LeftOut()
                pairs = draw_pairs(self.pairs, count, self.seed, left_out)
                for line in left_out.lines():
                    console.note(line)
                return pairs
            return read_pairs(self.pairs, self.root)

    def _open(self) -> tuple[FaceCycle, FaceBackend]:
        model = open_model(self.checkpoint, self.device)
        model.seed = self.seed
        return model, open_backend(self.aligner, threads=1)

    def _settings(self, size: int) -> CropSettings:
        from facecycle_cli.portrait.crops import CropSettings

        return CropSettings(size, aligned=self.aligned)

    def _match(
        self, pairs: Sequence[Pair], model: FaceCycle, backend: FaceBackend, console: Console
    ) -> Matches:
        from functools import partial

        from facecycle_cli.verify.pairs import match_pairs
        from facecycle_cli.verify.verify import identity_embedding

        extractors: dict[str, Extractor] = {
            _IDENTITY: partial(identity_embedding, model),
            **baselines(self.baseline, texture=True),
        }
        files = len({name for pair in pairs for name in (pair.a, pair.b)})
        try:
            with console.progress("pictures", files) as progress:
                return match_pairs(
                    pairs, extractors, self._settings(model.verifier.side), backend,
                    fail_on_missing=self.fail_on_missing,
                    on_done=lambda face: progress.advance(text=face.name),
                )  # fmt: skip
        except EvaluationError as error:
            raise CommandError(str(error)) from error

    @property
    def _rule(self) -> DecisionRule:
        from facecycle_cli.verify.decision import DecisionRule

        return DecisionRule(self.threshold, self.far, calibrated=self.calibrate is not None)

    def _fixed_threshold(self, model: FaceCycle) -> float | None:
        with prefix_errors(f"--checkpoint {self.checkpoint}"):
            return self._rule.fixed(model)

    def _unlabeled_threshold(self, model: FaceCycle) -> float | None:
        """What decides where nothing is labeled."""
        if self.far is None:
            return self._fixed_threshold(model)
        try:
            return self._rule.at_stored_far(model)
        except ThresholdError as error:
            raise typer.BadParameter(f"--far {self.far:g}: {error}") from None

    def _statistics(self, matches: Matches, model: FaceCycle) -> PairStatistics:
        fixed = self._fixed_threshold(model)
        with prefix_errors(self.pairs):
            return self._rule.statistics(
                matches, _IDENTITY, fixed, measured_on=self._name(), seed=self.seed
            )

    def _name(self) -> str:
        """Of the pairs, for a checkpoint that travels: without the folders of this machine."""
        return "standard input" if self.pairs == "-" else Path(self.pairs).resolve().name

    def _calibrated(self, console: Console) -> Path | None:
        """Where the calibrated checkpoint goes; None if nowhere, or what is there is to be kept."""
        if self.calibrate is None or self.overwrite or not self.calibrate.exists():
            return self.calibrate
        console.note(f"{self.calibrate} exists, it is left as it is (--overwrite to replace it)")
        return None

    def _write_calibrated(
        self, path: Path, calibration: Calibration, model: FaceCycle, console: Console
    ) -> None:
        from facecycle_cli.verify.decision import write_calibrated

        with prefix_errors(f"--calibrate {path}"):
            write_calibrated(path, calibration, model, aligner=self.aligner)
        console.note(
            f"wrote {path}: threshold {calibration.threshold:.4f}, "
            f"{percent(calibration.far)} false and {percent(calibration.tar)} true accepts on "
            f"{counted(calibration.pairs, 'pair')} of {calibration.measured_on}"
        )

    def _traces(self, model: FaceCycle) -> dict[str, Any]:
        from facecycle_cli.verify.report import describe_model

        return {"checkpoint": describe_model(model), "seed": self.seed, "aligner": self.aligner}


# -- what is printed ------------------------------------------------------------------------------


def _print_rows(matches: Matches, threshold: float | None, console: Console) -> None:
    for pair, value in zip(matches.pairs, matches.similarities[_IDENTITY], strict=True):
        problem = matches.problem(pair)
        if problem is not None:
            verdict = None
        elif threshold is None:
            verdict = "-"
        else:
            verdict = "same" if value >= threshold else "different"
        fields: dict[str, Any] = {"path_a": pair.a, "path_b": pair.b}
        fields["similarity"] = None if problem else float(value)
        fields["threshold"] = threshold
        fields["verdict"] = None if verdict == "-" else verdict
        fields |= {"same": pair.same, "fold": pair.fold, "group": pair.group}
        fields |= {"status": "failed", "reason": problem} if problem else {"status": "done"}
        shown = "nan\tskipped" if problem else f"{value:.6f}\t{verdict}"
        console.result(f"{console.name(pair.a)}\t{console.name(pair.b)}\t{shown}", fields)


def _summary(statistics: PairStatistics) -> list[str | Table]:
    """The statistics as comment lines, so that the rows before them stay a table."""
    from facecycle_cli.verify.verify import RESEARCH_ONLY

    metrics = statistics.metrics
    columns = {_IDENTITY: metrics, **statistics.baselines}
    protocol = "one threshold"
    if metrics.folds:
        drawn = "" if metrics.folds.given else "drawn "
        protocol = f"{len(metrics.folds.accuracies)} {drawn}folds"
    rows = [["", *columns]]
    rows.append([f"accuracy ({protocol})", *(_with_error(m) for m in columns.values())])
    rows.append(["AUC", *(number(m.auc) for m in columns.values())])
    rows.append(["EER", *(percent(m.eer) for m in columns.values())])
    for far in metrics.tar_at_far:
        rates = [percent(m.tar_at_far[far]) for m in columns.values()]
        rows.append([f"TAR at FAR {far}", *rates])
    rows.append(["best threshold", *(number(m.best_threshold) for m in columns.values())])
    rows.append(["  accuracy there", *(percent(m.best_accuracy) for m in columns.values())])
    if fixed := metrics.at_threshold:
        rows.append([f"at threshold {fixed.threshold:.4f}", percent(fixed.accuracy)])
        rows.append(["  TAR", percent(fixed.tar)])
        rows.append(["  FAR", percent(fixed.far)])
    head = f"{metrics.same} same and {counted(metrics.different, 'different pair')}"
    parts: list[str | Table] = [head, Table(rows)]
    if metrics.groups:
        headings = {"same": "same", "different": "different", "accuracy": "accuracy",
                    "auc": "AUC", "tar": "TAR", "far": "FAR"}  # fmt: skip
        groups = {name: group.to_json() for name, group in metrics.groups.items()}
        parts.append(Table(group_rows(groups, headings)))
    return [*parts, RESEARCH_ONLY]


def _with_error(metrics: VerificationMetrics) -> str:
    error = metrics.accuracy_standard_error
    accuracy = percent(metrics.accuracy)
    if error is None:
        return accuracy
    return f"{accuracy.removesuffix(' %')} {plus_minus()} {percent(error)}"


def _against_table(result: AgainstResult) -> list[str | Table]:
    from facecycle_cli.verify.generated import COMPARISONS

    rows = [["", "accuracy", "AUC", "EER"]]
    measured = {
        "originals": result.originals,
        "generated": result.generated,
        "across": result.across,
    }
    for name, metrics in measured.items():
        row = [COMPARISONS[name].format(result.against), _with_error(metrics)]
        rows.append([*row, number(metrics.auc), percent(metrics.eer)])
    return [f"{counted(result.pairs, 'pair')}, half of them of different people", Table(rows)]
