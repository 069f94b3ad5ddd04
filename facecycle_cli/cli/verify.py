"""facecycle verify: the similarity of two faces, or of a list of pairs with its statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facecycle_cli.cli.compute import open_backend, open_model
from facecycle_cli.cli.console import Console
from facecycle_cli.cli.faces import open_face_choice
from facecycle_cli.cli.options import (
    Aligned,
    Aligner,
    AsJson,
    Baseline,
    Checkpoint,
    Device,
    Overwrite,
    Quiet,
    Report,
    Seed,
    Verbose,
    check_face,
)
from facecycle_cli.cli.streams import stdout_is_closed
from facecycle_cli.errors import CommandError, ThresholdError
from facecycle_cli.types import Against, OnMissing

if TYPE_CHECKING:
    from facecycle_cli.faces import FaceBackend
    from facecycle_cli.model import FaceCycle
    from facecycle_cli.portrait.crops import CropSettings
    from facecycle_cli.types import RGBImage
    from facecycle_cli.verify.threshold import Threshold

DIFFERENT = 1
COULD_NOT_COMPARE = 3
"""Exit codes of a comparison; 0 is the same person."""

_TOP = 10
"""Faces that a search shows."""


def _check_faces(values: list[str]) -> list[str]:
    if "all" in values:
        raise typer.BadParameter("two faces are compared; choose one of each picture")
    if len(values) > 2:
        raise typer.BadParameter("one for both pictures, or one for each")
    return [str(check_face(value)) for value in values]


def verify_command(
    a: Annotated[
        str | None,
        typer.Argument(metavar="A", help="A picture, or - for standard input."),
    ] = None,
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="Another picture."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|DIR",
            help="A list of pairs (LFW's pairs.txt, CPLFW's, or CSV/TSV path_a,path_b[,same][,fold]"
            "[,group]), - for standard input; or a folder with one folder per person, from which "
            "--draw pairs are drawn.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="What the list's names are relative to. Default: the list's folder.",
            show_default=False,
        ),
    ] = None,
    draw: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="How many pairs to draw, half of them of different people. Default: 2000 from a "
            "folder, 1000 for --against.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=-1.0,
            max=1.0,
            help="Minimum similarity to call two faces the same person.",
            show_default="the checkpoint's",
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Use the threshold for this false-accept rate instead: that of the labeled pairs, "
            "or the one that the checkpoint carries.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        Against | None,
        typer.Option(
            help="Verify the faces that this command makes against their originals: 1000 labeled "
            "pairs (or --draw) of --pairs, half of them of different people. With --aligned the "
            "crops are moved as they are, without landmarks.",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Write a copy of the checkpoint that carries the threshold of these labeled "
            "pairs: of the best balanced accuracy, or for --far.",
            show_default=False,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--in",
            metavar="FOLDER",
            help="Search the pictures of this folder for the faces that are most like that of A.",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="How many faces --in shows. Default: 10.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where --in keeps the vectors of the faces, for the next search. Default: "
            "vectors.sqlite in the user's cache folder.",
            show_default=False,
        ),
    ] = None,
    face: Annotated[
        list[str],
        typer.Option(
            "--face",
            metavar="largest|left|right|N|like:REF",
            help="Which face of A and B: the largest, the left or the right one, the N-th largest, "
            "or the one most like the face in the picture REF. Given twice: of A, and of B. "
            "Default: large and near the center; with --in the largest.",
            callback=_check_faces,
            show_default=False,
        ),
    ] = [],  # noqa: B006
    baseline: Baseline = False,
    on_missing: Annotated[
        OnMissing,
        typer.Option(
            help="What to do about a pair with a missing picture, or one without a face: skip it, "
            "or end with an error."
        ),
    ] = "skip",
    aligned: Aligned = False,
    aligner: Aligner = "mesh",
    report: Report = None,
    overwrite: Overwrite = False,
    checkpoint: Checkpoint = "small",
    device: Device = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say whether two pictures show the same person.

    A research representation, far from current face recognition: not fit for decisions about
    people. Exit code 0: same, 1: different, 3: could not compare. With --in: 0: found, 1: a picture
    cannot be read, 3: no face in A.

    facecycle verify one.jpg two.jpg                  similarity, threshold, verdict

    facecycle verify one.jpg --in photos/ --top 10    the most similar faces of a folder

    facecycle verify --pairs pairs.txt --report out/  LFW's protocol

    facecycle verify --pairs people/                  pairs drawn from folders

    facecycle verify --pairs people/ --against frontalize

    facecycle verify --pairs people/ -c mine.safetensors --calibrate calibrated.safetensors
    """
    console = Console(quiet=quiet, verbose=verbose, json=as_json)
    if calibrate is not None and (pairs is None or against is not None or threshold is not None):
        raise typer.BadParameter("--calibrate takes a threshold from the labeled --pairs alone")
    for option, value in (("--threshold", threshold), ("--far", far)):
        if value is not None and math.isnan(value):  # no bound refuses it
            raise typer.BadParameter(f"{option} nan is not a number")
    if threshold is not None and far is not None:
        raise typer.BadParameter("--threshold and --far say the same thing twice; choose one")
    if within is not None:
        others = (b, pairs, against, calibrate, threshold, far, report, draw, root)
        if a is None or baseline or any(value is not None for value in others):
            raise typer.BadParameter("--in goes with one picture, --top and --cache")
        if len(face) > 1:
            raise typer.BadParameter("--in searches for one face")
        from facecycle_cli.cli.verify_search import SearchJob

        SearchJob(
            query=a,
            folder=within,
            top=top or _TOP,
            cache=cache,
            aligned=aligned,
            aligner=aligner,
            checkpoint=checkpoint,
            device=device,
            face=face[0] if face else "largest",
        ).run(console)
        return
    if top is not None or cache is not None:
        raise typer.BadParameter("--top and --cache go with --in")
    if pairs is None and against is not None and a is not None and b is None:
        pairs, a = a, None  # verify --against frontalize people/
    if pairs is not None:
        if face:
            raise typer.BadParameter("--face goes with two pictures, or with --in")
        if a is not None:
            raise typer.BadParameter("two pictures or --pairs, not both")
        from facecycle_cli.cli.verify_pairs import PairsJob

        job = PairsJob(
            pairs=pairs,
            root=root,
            draw=draw,
            threshold=threshold,
            far=far,
            calibrate=calibrate,
            baseline=baseline,
            fail_on_missing=on_missing == "fail",
            aligned=aligned,
            aligner=aligner,
            report=report,
            overwrite=overwrite,
            checkpoint=checkpoint,
            device=device,
            seed=seed,
        )
        if against is not None:
            job.run_against(against, console)
        else:
            job.run(console)
        return
    if against is not None:
        raise typer.BadParameter("--against needs --pairs")
    if a is None or b is None:
        raise typer.BadParameter("two pictures to compare, or --pairs FILE")
    if report is not None or baseline:
        raise typer.BadParameter("--report and --baseline go with --pairs")
    if (a, b) == ("-", "-"):
        raise typer.BadParameter("standard input holds one picture")
    try:
        if stdout_is_closed():
            raise CommandError("standard output is closed, and takes no verdict")
        from facecycle_cli.portrait.crops import CropSettings

        model, backend = open_model(checkpoint, device), open_backend(aligner)
        limit = _threshold(model, threshold, far)
        whole = CropSettings(model.verifier.side, aligned=aligned)
        choices = [open_face_choice(each, model, backend) for each in face]
        settings = [replace(whole, face=choice) for choice in choices] or [whole]
        pictures = [(a, settings[0]), (b, settings[-1])]
        same = _compare(pictures, model, backend, limit, console)
    except (typer.Exit, typer.BadParameter):
        raise
    except Exception as error:
        # Nothing but a verdict that was printed may end with the codes of verdicts.
        with suppress(BrokenPipeError):
            if not isinstance(error, BrokenPipeError):
                console.failure("", error)
        raise typer.Exit(COULD_NOT_COMPARE) from None
    if not same:
        raise typer.Exit(DIFFERENT)


def _threshold(model: FaceCycle, threshold: float | None, far: float | None) -> Threshold:
    from facecycle_cli.verify.threshold import (
        Threshold,
        stored_threshold,
        threshold_at_stored_far,
    )

    if threshold is not None:
        return Threshold(threshold)
    try:
        stored = stored_threshold(model) if far is None else threshold_at_stored_far(model, far)
    except ThresholdError as error:
        raise typer.BadParameter(f"{error}; give one with --threshold") from None
    if stored is None:
        raise typer.BadParameter(
            "this checkpoint has no verification threshold; give one with --threshold, or set it "
            "once and for all: facecycle verify --pairs LABELED --calibrate OUT"
        )
    return stored


def _compare(
    pictures: Sequence[tuple[str, CropSettings]],
    model: FaceCycle,
    backend: FaceBackend,
    threshold: Threshold,
    console: Console,
) -> bool:
    """Print the verdict on two pictures, and return whether it is the same person."""
    from facecycle_cli.portrait.crops import face_crop
    from facecycle_cli.verify.verify import RESEARCH_ONLY, compare_crops

    a, b = (name for name, _ in pictures)
    crops = []
    for name, settings in pictures:
        try:
            crops.append(face_crop(_read(name), settings, backend))
        except (OSError, ValueError) as error:
            console.failure(name, error)
    if len(crops) < 2:
        console.result(
            None, {"a": a, "b": b, "status": "failed", "similarity": None, "verdict": None}
        )
        raise typer.Exit(COULD_NOT_COMPARE)
    verdict = compare_crops(model, crops[0], crops[1], threshold)
    text = f"similarity {verdict.similarity:.4f}  threshold {threshold.value:.4f}  {verdict.word}"
    if threshold.far is not None:
        where = f" of {threshold.measured_on}" if threshold.measured_on else ""
        rate = f"{100 * threshold.far:.1f} % of the pairs of different people{where}"
        console.note(f"this threshold takes {rate} for the same person")
    console.note(RESEARCH_ONLY)
    fields = {
        "a": a,
        "b": b,
        "status": "done",
        "similarity": verdict.similarity,
        "threshold": threshold.value,
        "far": threshold.far,
        "measured_on": threshold.measured_on,
        "same": verdict.same,
        "verdict": verdict.word,
        "note": RESEARCH_ONLY,
    }
    console.result(text, fields)
    return verdict.same


def _read(name: str) -> RGBImage:
    import sys

    from facecycle_cli.media import read_image

    return read_image(sys.stdin.buffer if name == "-" else name)
