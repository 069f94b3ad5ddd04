"""facecycle encode: the faces of pictures and videos as rows of a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console, prefix_errors
from facecycle_cli.cli.faces import open_face_choice
from facecycle_cli.cli.options import (
    Aligner,
    AsJson,
    Checkpoint,
    Device,
    Face,
    Overwrite,
    Quiet,
    Verbose,
)
from facecycle_cli.cli.outputs import Skip, refuse_existing
from facecycle_cli.cli.run import InputResult, run_each
from facecycle_cli.cli.streams import stdout_is_closed, write_stdout
from facecycle_cli.errors import CommandError
from facecycle_cli.types import AlignerName

if TYPE_CHECKING:
    from facecycle_cli.encode.columns import Column
    from facecycle_cli.encode.crop_lists import NamedInput
    from facecycle_cli.encode.inputs import FaceSource
    from facecycle_cli.encode.partial import PartialTable
    from facecycle_cli.encode.run import Recorder, RowSink
    from facecycle_cli.model import FaceCycle

_SUFFIXES = ".npz", ".parquet", ".csv", ".jsonl"
_STDOUT = "-"


def encode_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Pictures and videos: files, folders with all that is below them, globs, or - for "
            "a picture from standard input.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The table: .npz, .parquet, .csv or .jsonl (JSON lines). - writes JSON lines to "
            "standard output.",
        ),
    ] = _STDOUT,
    face: Face = "largest",
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0.01,
            help="Frames to keep of each second of a video. Default: all.",
            show_default=False,
        ),
    ] = None,
    aligned: Annotated[
        bool,
        typer.Option(
            "--aligned",
            help="The pictures are face crops already: use them whole. In a folder that preprocess "
            "made, read its index.",
        ),
    ] = False,
    landmarks: Annotated[
        bool,
        typer.Option(
            "--landmarks",
            help="Add all landmarks. With --aligned, find them in the crops, which gives openings, "
            "too.",
        ),
    ] = False,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNS",
            help="Write these columns only, with commas between: yaw,expression_code.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    aligner: Aligner = "mesh",
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write codes, head pose and openings of faces as a table.

    Each face is a row: identity code, expression code, verification vector, head pose, five
    points, openings of mouth and eyes, sharpness and the detector's score. A call that was stopped
    goes on if it is given again.

    facecycle encode photos/ -o codes.npz

    facecycle encode talk.mp4 --fps 5 -o codes.csv --only yaw,pitch,mouth_opening

    facecycle encode vox2_faces/ --aligned -o codes.parquet

    facecycle encode photo.jpg | jq .yaw
    """
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    if output == _STDOUT and as_json:
        raise typer.BadParameter("standard output takes the rows or --json, not both")
    _EncodeJob(
        inputs=inputs,
        output=output,
        face=face,
        fps=fps,
        aligned=aligned,
        landmarks=landmarks,
        only=None if only is None else [name.strip() for name in only.split(",") if name.strip()],
        overwrite=overwrite,
        checkpoint=checkpoint,
        device=device,
        aligner=aligner,
        console=console,
    ).run()


@dataclass(frozen=True)
class _EncodeJob:
    """One call of encode: each attribute is the option of its name."""

    inputs: list[str]
    output: str
    face: str
    fps: float | None
    aligned: bool
    landmarks: bool
    only: list[str] | None
    overwrite: bool
    checkpoint: str
    device: str
    aligner: AlignerName
    console: Console

    def run(self) -> None:
        """Encode every input.

        Raises:
            typer.BadParameter: the output has no format that is known.
            CommandError: the output or the networks cannot be opened.
            typer.Exit: code 1, some input failed.
        """
        if self.output == _STDOUT:
            self._run_to_stdout()
            return
        path = Path(self.output)
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            known = ", ".join(_SUFFIXES)
            raise typer.BadParameter(f"-o {self.output}: write a table as {known}")
        try:
            refuse_existing(path, self.overwrite)
        except Skip as why:
            self.console.note(f"skipped, {why}")
            return
        if path.exists() and not path.is_file():
            raise CommandError(f"{self.output}: it is no file")
        self._run_to_file(path, suffix)

    def _run_to_stdout(self) -> None:
        from facecycle_cli.encode.run import LineSink

        if stdout_is_closed():
            raise CommandError("standard output is closed, and takes no rows")
        model, columns = self._open()
        self._encode(model, columns, LineSink(columns, write_stdout), None)

    def _run_to_file(self, path: Path, suffix: str) -> None:
        from facecycle_cli.encode.formats import require_format, write_table
        from facecycle_cli.encode.partial import PartialTable
        from facecycle_cli.system import atomic_path

        require_format(suffix)
        model, columns = self._open()
        # It lies where the file will lie: what a link leads to.
        real = Path(os.path.realpath(path))
        folder = real.with_name(f"{real.name}.partial")
        with prefix_errors(str(path)), PartialTable(
            folder, columns, self._settings(model, columns)
        ) as table:  # fmt: skip
            if table.sources:
                self.console.note(f"goes on after {table.sources:,} inputs")
            failed: typer.Exit | None = None
            try:
                self._encode(model, columns, table, table)
            except typer.Exit as stop:
                failed = stop
            rows = table.rows
            if failed is not None and not rows:
                table.complete()
                raise failed
            with atomic_path(path) as temporary:
                write_table(table, temporary, suffix)
                table.complete()
        if not self.console.json:
            self.console.result(self.console.name(str(path)), {})
        self.console.note(f"{rows:,} rows in {path}")
        if failed is not None:
            raise failed

    def _open(self) -> tuple[FaceCycle, tuple[Column, ...]]:
        from facecycle_cli.encode.columns import choose_columns

        model = open_model(self.checkpoint, self.device)
        kind = None
        if self.landmarks:
            kind = "mesh" if self.aligned else self.aligner
        return model, choose_columns(model, self.only, kind)

    def _settings(self, model: FaceCycle, columns: tuple[Column, ...]) -> dict[str, Any]:
        """What the rows depend on: a call with other values does not go on with them."""
        from facecycle_cli import __version__

        info = model.checkpoint
        return {
            "version": __version__,
            "inputs": [*map(ascii, self.inputs)],
            "columns": [column.name for column in columns],
            "checkpoint": info.sha256 if info else None,
            "aligner": self.aligner,
            "faces": self.face,
            "aligned": self.aligned,
            "fps": self.fps,
        }

    def _encode(
        self,
        model: FaceCycle,
        columns: tuple[Column, ...],
        sink: RowSink,
        before: PartialTable | None,
    ) -> None:
        from contextlib import closing

        from facecycle_cli.encode.encode import Encoder
        from facecycle_cli.encode.inputs import EncodeSettings, open_sources, walk_inputs
        from facecycle_cli.encode.records import Measurer
        from facecycle_cli.encode.run import Recorder
        from facecycle_cli.media.files import LeftOut

        backend = open_backend(self.aligner, threads=1)
        choice = open_face_choice(self.face, model, backend)
        settings = EncodeSettings(choice, self.aligned, self.fps)
        measurer = Measurer(model, landmarks=self.landmarks)
        recorder = Recorder(Encoder(model, columns), sink, self.output)
        left_out = LeftOut()

        def items() -> Iterator[NamedInput]:
            for item in walk_inputs(self.inputs, settings, left_out):
                if before is None or not before.take_done(item.name):
                    yield item
            for line in left_out.lines("input"):
                self.console.note(line)

        with closing(open_sources(items(), settings, backend, measurer)) as sources:
            try:
                run_each(sources, lambda source: self._one(source, recorder), self.console)
            except typer.Exit:  # some input failed, after the last one
                recorder.flush()
                raise
            recorder.flush()

    def _one(self, source: FaceSource, recorder: Recorder) -> InputResult:
        count = recorder.add(source)
        for warning in source.warnings:
            self.console.note(f"{source}: {warning}")
        return InputResult(fields={"faces": count})
