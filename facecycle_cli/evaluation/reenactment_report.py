"""The report folder of ``evaluate translate``: strips, clips, and the page that plays them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from facecycle_cli.evaluation.motion_measures import MEASURES
from facecycle_cli.evaluation.reenactment_results import OUTPUT, ClipResult
from facecycle_cli.evaluation.reports import EvaluationReport, safe_name
from facecycle_cli.evaluation.strips import Strip, StripFrame
from facecycle_cli.media import Provenance, write_image
from facecycle_cli.model import FaceCycle
from facecycle_cli.pages.blocks import Block, EmbeddedPicture, Paragraph, Section, Sheet, SheetTile
from facecycle_cli.pages.embed import clip_of, picture_of

__all__ = ["ClipPages"]

_MOST_BYTES = 32 << 20
"""Of the strips and clips in one page; those of further clips are files beside it only."""

_FASTEST = 60
"""Frames per second of a clip in the page."""


class ClipPages:
    """Collects the strips of clips while these are measured, and writes the report at the end.

    Args:
        folder: of the report.
        model: what made the outputs.
    """

    def __init__(self, folder: Path, model: FaceCycle) -> None:
        info = model.checkpoint
        self.folder = folder
        self.written: list[Path] = []
        self._provenance = Provenance("evaluate translate", info.sha256 if info else None)
        self._sections: list[Section] = []
        self._bytes = self._clips = self._left_out = 0

    def add(self, clip: ClipResult) -> Path | None:
        """Write the strip of a clip that was measured.

        Args:
            clip: with its strip. Clips of different folders may share a name, so files are
                numbered.

        Returns:
            The file; None if no frame can be shown.
        """
        self._clips += 1
        if clip.strip is None or clip.strip.is_empty:
            return None
        name = f"strip_{self._clips:03d}_{safe_name(Path(clip.name).stem)}.png"
        write_image(clip.strip.sheet(), self.folder / name, provenance=self._provenance)
        self.written.append(self.folder / name)
        if self._bytes < _MOST_BYTES:
            section = Section(clip.name, self._blocks(clip, clip.strip))
            self._bytes += sum(map(_size_of, section.blocks))
            self._sections.append(section)
        else:
            self._left_out += 1
        return self.folder / name

    def write(self, report: EvaluationReport) -> list[Path]:
        """Write ``report.json`` and the page; returns all files of the report."""
        if self._left_out:
            note = f"{self._left_out} more clips: the page would grow too large. Their strips are "
            self._sections.append(
                Section("Further clips", [Paragraph(note + "in the folder of this report.")])
            )
        terms = {measure.name: f"{measure.what}; in {measure.unit}." for measure in MEASURES}
        return [*report.write(self._sections, terms), *self.written]

    def _blocks(self, clip: ClipResult, strip: Strip) -> list[Block]:
        output = clip.pictures[OUTPUT]
        numbers = [
            f"{name} {value:.{digits}f}"
            for name, value, digits in (
                ("L1", output.l1, 4),
                ("SSIM", output.ssim, 3),
                ("AKD", output.akd, 1),
                ("identity", output.identity, 3),
            )
            if value is not None
        ]
        chosen = strip.chosen()
        names = list(chosen[0].rows)
        tiles = [
            SheetTile(
                [self._picture(frame, name)],
                [f"{name.replace('_', ' ')}, {frame.time:.2f} s"],
            )
            for name in names
            for frame in chosen
        ]
        blocks: list[Block] = [Sheet(tiles, len(chosen))]
        if len(strip.opening) > 1:
            shown = ", ".join(name.replace("_", " ") for name in names)
            seconds = strip.opening[-1].time - strip.opening[0].time
            blocks.insert(
                0,
                clip_of(
                    [np.hstack(list(frame.rows.values())) for frame in strip.opening],
                    _rate(strip.opening),
                    label=f"the first {seconds:.1f} s of {clip.name}, side by side: {shown}",
                    caption=f"From left to right: {shown}. {', '.join(numbers)}.",
                    provenance=self._provenance,
                ),
            )
        return blocks

    def _picture(self, frame: StripFrame, name: str) -> EmbeddedPicture:
        alt = f"{name.replace('_', ' ')} at {frame.time:.2f} s"
        return picture_of(frame.rows[name], alt, provenance=self._provenance)


def _rate(frames: Sequence[StripFrame]) -> Fraction:
    """Frames per second, such that the clip takes as long as its frames did."""
    seconds = frames[-1].time - frames[0].time
    if seconds <= 0:
        return Fraction(25)
    return min(Fraction(_FASTEST), Fraction((len(frames) - 1) / seconds).limit_denominator(1001))


def _size_of(block: Block) -> int:
    """Characters of the data URIs in a block."""
    if isinstance(block, Sheet):
        return sum(len(picture.uri) for tile in block.tiles for picture in tile.pictures)
    return len(getattr(block, "uri", ""))
