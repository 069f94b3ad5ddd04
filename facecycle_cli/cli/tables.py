"""What verify and evaluate share: the report folder, and how numbers are printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecycle_cli.cli.console import Console
from facecycle_cli.pages.blocks import Block, Paragraph, Table
from facecycle_cli.text import one_line

if TYPE_CHECKING:
    from facecycle_cli.verify.features import Extractor


def report_folder(
    folder: Path | None, overwrite: bool, console: Console, *, plots: bool = True
) -> Path | None:
    """The folder to write the report into; None if there is none, or it holds one to be kept.

    Args:
        folder: ``--report``.
        overwrite: replace a report that is there.
        console: where to print.
        plots: the report has plots.

    Raises:
        MissingExtraError: matplotlib is not installed: said before the work, not after it.
    """
    if folder is None:
        return None
    if (folder / "report.json").exists() and not overwrite:
        console.note(f"{folder} holds a report, it is left as it is (--overwrite to replace it)")
        return None
    if plots:
        from facecycle_cli.system import require_extra

        require_extra("matplotlib")
    return folder


def say_problems(
    problems: Iterable[tuple[str, Exception]], console: Console, notes: Iterable[str] = ()
) -> int:
    """A line for each picture that could not be used; returns how many there are.

    Args:
        problems: (name, reason) of each.
        console: of the command.
        notes: what else there is to say, before that.
    """
    for note in notes:
        console.note(note)
    count = 0
    for name, error in problems:
        console.failure(name, error)
        count += 1
    return count


def say_written(paths: Sequence[Path], console: Console) -> None:
    """Where the report is."""
    if paths:
        console.note(f"wrote {os.path.commonpath(paths)}: {', '.join(p.name for p in paths)}")


def baselines(wanted: bool, *, texture: bool) -> dict[str, Extractor]:
    """Hand-crafted features (raw pixels, HOG, and with ``texture`` LBP), if they are wanted."""
    if not wanted:
        return {}
    from facecycle_cli.evaluation.baselines import BASELINES
    from facecycle_cli.system import import_extra

    import_extra("skimage")
    return {name: f for name, f in BASELINES.items() if texture or name != "lbp"}


def counted(count: int, what: str) -> str:
    """``1 pair``, ``2 pairs``: a number with its noun, whose plural ends in s."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def percent(value: float | None, digits: int = 2) -> str:
    """0.7372 -> 73.72 %; None, what could not be measured, -> n/a."""
    return "n/a" if value is None else f"{100 * value:.{digits}f} %"


def number(value: Any, digits: int = 4) -> str:
    """A float in fixed digits; None -> n/a."""
    return "n/a" if value is None else f"{value:.{digits}f}"


def plus_minus() -> str:
    """``±``, or ``+-`` where standard output has no such character."""
    try:
        "±".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "+-"
    return "±"


def table(rows: Sequence[Sequence[str]], *, prefix: str = "") -> str:
    """Rows of cells in columns: the first to the left, the rest to the right.

    Cells may hold names, whose control characters become escapes.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(row)
        ]
        lines.append((prefix + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def printed(parts: Sequence[str | Table], *, between: str = "\n", prefix: str = "") -> str:
    """Sentences and tables as text, one below the other.

    Args:
        parts: what a report shows, too: see :func:`blocks`.
        between: two of them.
        prefix: in front of every line.
    """
    texts = [
        prefix + part if isinstance(part, str) else table(part.rows, prefix=prefix)
        for part in parts
    ]
    return between.join(texts)


def blocks(parts: Sequence[str | Table]) -> list[Block]:
    """The same for the page of a report."""
    return [Paragraph(part.replace("\n", " ")) if isinstance(part, str) else part for part in parts]


def group_rows(
    groups: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str]
) -> list[list[str]]:
    """A row for each group: its name and the metrics in ``columns`` (key -> heading)."""
    rows = [["group", *columns.values()]]
    for name, numbers in groups.items():
        cells = [
            str(numbers[key]) if isinstance(numbers[key], int) else number(numbers[key])
            for key in columns
        ]
        rows.append([name, *cells])
    return rows
