"""What facecycle preprocess prints: the summary of a run, and the estimate of a dry run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from facecycle_cli.text import one_line

if TYPE_CHECKING:
    from facecycle_cli.preprocess import Estimate, InputSummary

_COMMON_REASONS = 8
"""Reasons that the table shows for each status. The index has them all."""


def run_fields(summary: InputSummary, folder: str, seconds: float) -> dict[str, Any]:
    """The counts of a run for one input, for ``--json``."""
    counts = summary.counts
    reasons = sorted(summary.reasons.items(), key=lambda item: -item[1])
    return {
        "input": summary.input,
        "status": "failed" if summary.has_failures else "done",
        "output": folder,
        "sources": summary.sources,
        "known": summary.known,
        "done": counts.get("done", 0),
        "no_face": counts.get("no-face", 0),
        "unreadable": counts.get("unreadable", 0),
        "failed": counts.get("failed", 0),
        "crops": summary.crops,
        "frames": summary.frames,
        "seconds": round(seconds, 3),
        "frames_per_second": round(summary.frames / seconds, 2),
        "reason": summary.problem,
        "reasons": [
            {"status": status, "reason": reason, "sources": count}
            for (status, reason), count in reasons
        ],
    }


def run_table(summaries: Sequence[InputSummary], folder: str, seconds: float) -> str:
    """The table at the end of a run: all inputs together."""
    counts: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for summary in summaries:
        counts.update(summary.counts)
        reasons.update(summary.reasons)
    known = sum(summary.known for summary in summaries)
    frames = sum(summary.frames for summary in summaries)
    rows = [("sources", sum(summary.sources for summary in summaries), "")]
    if known:
        rows.append(("  finished earlier", known, ""))
    rows.append(("  done", counts["done"], ""))
    for status in ("no-face", "unreadable", "failed"):
        if counts[status]:
            rows.append((f"  {status}", counts[status], ""))
            of_status = sorted(((n, why) for (what, why), n in reasons.items() if what == status))
            rows += [("", n, why) for n, why in of_status[: -_COMMON_REASONS - 1 : -1]]
    rows.append(("crops", sum(summary.crops for summary in summaries), f"in {folder}"))
    rows.append(("frames", frames, f"{frames / seconds:.1f} per second"))
    return "\n".join(
        f"{label:<19}{number:>10,}  {one_line(text)}".rstrip() for label, number, text in rows
    )


def estimate_fields(entry: Estimate, folder: str, processes: int) -> dict[str, Any]:
    """What an input would take, for ``--json``."""
    return {
        "input": entry.input,
        "status": "failed" if entry.problem else "done",
        "output": folder,
        "dry_run": True,
        "sources": entry.sources,
        "known": entry.known,
        "input_bytes": entry.input_bytes,
        "crops": None if entry.crops is None else round(entry.crops),
        "hours": None if entry.seconds is None else _four_digits(entry.seconds / 3600),
        "output_bytes": None if entry.output_bytes is None else round(entry.output_bytes),
        "workers": processes,
        "reason": entry.problem,
    }


def estimate_text(entry: Estimate, folder: str, processes: int) -> str | None:
    """What an input would take, in words; None if it has a problem, which is printed already."""
    if entry.problem:
        return None
    known = f", {entry.known:,} of them finished" if entry.known else ""
    text = f"{entry.input}: {entry.sources:,} sources ({_bytes(entry.input_bytes)} left{known})"
    if entry.seconds is None or entry.crops is None or entry.output_bytes is None:
        return text
    return (
        f"{text}\nabout {entry.crops:,.0f} crops, {_bytes(entry.output_bytes)} in {folder}, "
        f"{_duration(entry.seconds)} with {processes} process{'' if processes == 1 else 'es'}"
    )


def _four_digits(value: float) -> float:
    """Rounded to four significant digits: a short time does not become 0."""
    return float(f"{value:.4g}")


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1000
    return f"{count:,.3g} TB"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
