"""What facecycle preprocess says at its end, or before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecycle_cli.preprocess import Estimate, Tally

_COMMON_REASONS = 8  # shown in the summary; the index has them all


def run_fields(tally: Tally, folder: str, seconds: float) -> dict[str, Any]:
    """The run's counts, for ``--json``."""
    counts = tally.counts
    reasons = sorted(tally.reasons.items(), key=lambda item: -item[1])
    return {
        "input": tally.input,
        "status": "failed" if tally.has_failures else "done",
        "output": folder,
        "sources": tally.sources,
        "known": tally.known,
        "done": counts.get("done", 0),
        "no_face": counts.get("no-face", 0),
        "unreadable": counts.get("unreadable", 0),
        "failed": counts.get("failed", 0),
        "crops": tally.crops,
        "frames": tally.frames,
        "seconds": round(seconds, 3),
        "frames_per_second": round(tally.frames / seconds, 2),
        "reason": tally.problem,
        "reasons": [
            {"status": status, "reason": reason, "sources": count}
            for (status, reason), count in reasons
        ],
    }


def run_summary(tallies: Sequence[Tally], folder: str, seconds: float) -> str:
    """The table at the end: all inputs together."""
    counts: dict[str, int] = {}
    reasons: dict[tuple[str, str], int] = {}
    for tally in tallies:
        for status, count in tally.counts.items():
            counts[status] = counts.get(status, 0) + count
        for key, count in tally.reasons.items():
            reasons[key] = reasons.get(key, 0) + count
    known = sum(tally.known for tally in tallies)
    frames = sum(tally.frames for tally in tallies)
    rows = [("sources", sum(tally.sources for tally in tallies), "")]
    if known:
        rows.append(("  finished earlier", known, ""))
    rows.append(("  done", counts.get("done", 0), ""))
    for status in ("no-face", "unreadable", "failed"):
        if counts.get(status):
            rows.append((f"  {status}", counts[status], ""))
            of_status = sorted(((n, why) for (what, why), n in reasons.items() if what == status))
            rows += [("", n, why) for n, why in of_status[: -_COMMON_REASONS - 1 : -1]]
    rows.append(("crops", sum(tally.crops for tally in tallies), f"in {folder}"))
    rows.append(("frames", frames, f"{frames / seconds:.1f} per second"))
    return "\n".join(f"{label:<19}{number:>10,}  {text}".rstrip() for label, number, text in rows)


def forecast(entry: Estimate, folder: str, processes: int) -> str | None:
    """Time and space that an input will take, in words; None where nothing can be said."""
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


def rounded(value: float | None) -> int | None:
    """To a whole number, where there is one."""
    return None if value is None else round(value)


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
