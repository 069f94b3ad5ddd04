"""What each address does with the files of a request: the functions of the library and commands."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields
from http import HTTPStatus
from inspect import signature
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from facecycle_cli.encode.encode import encode
from facecycle_cli.errors import FacecycleError, NoFaceError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media import Provenance, encode_image, is_still, probe, read_image
from facecycle_cli.media.pixel_limit import pillow_limit_raised
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.verbs import frontalize, neutralize, neutralize_crops
from facecycle_cli.serve.dials import DialValue
from facecycle_cli.serve.errors import RequestError, status_of
from facecycle_cli.serve.work import WatchedBackend, Work
from facecycle_cli.translate.job import TranslateJob
from facecycle_cli.translate.run import TranslateEvents, run_translate
from facecycle_cli.translate.settings import TranslateSettings
from facecycle_cli.types import RGBImage
from facecycle_cli.verify.threshold import threshold_at_stored_far
from facecycle_cli.verify.verify import RESEARCH_ONLY, verify

__all__ = ["VERBS", "Answer", "RequestLimits", "Tools", "Verb"]

_FASTEST = 60
"""Frames per second that the limit on the length of a clip reckons with, at most."""

_OWN = frozenset({"image", "images", "image_a", "image_b", "model", "backend"})
"""Arguments of the library's functions that are no options."""


@dataclass(frozen=True)
class RequestLimits:
    """What a request may be, and take.

    Attributes:
        upload_bytes: of a whole request.
        megapixels: of a picture.
        clip_seconds: of a clip.
        seconds: of work.
    """

    upload_bytes: int = 32 << 20
    megapixels: float = 25.0
    clip_seconds: float = 30.0
    seconds: float = 120.0


@dataclass(frozen=True)
class Tools:
    """What answers requests.

    Attributes:
        model: the networks.
        backend: finds the faces.
        limits: of a request.
    """

    model: FaceCycle
    backend: FaceBackend
    limits: RequestLimits

    def warm_up(self) -> None:
        """Let the first request take no longer than the others.

        Raises:
            FaceError: the networks of the backend cannot be opened.
        """
        gray = np.full((1, 256, 256, 3), 128, np.uint8)
        self.backend.prepare()
        self.backend.detect(list(gray))
        neutralize_crops(self.model, gray)

    def provenance(self, operation: str) -> Provenance:
        """The tag of a generated picture or clip."""
        info = self.model.checkpoint
        return Provenance(operation, info.sha256 if info else None)


@dataclass(frozen=True)
class Answer:
    """What a request is answered with: one of these.

    Attributes:
        data: a file's bytes.
        file: a file, in the folder of the request.
        fields: JSON.
        media_type: of ``data`` or ``file``.
    """

    data: bytes | None = None
    file: Path | None = None
    fields: Mapping[str, Any] | None = None
    media_type: str = "image/png"


@dataclass(frozen=True)
class Call:
    """A request that is complete.

    Attributes:
        folder: its own, for temporary files.
        files: name of the field -> the uploaded file.
        options: name of the dial -> its value.
        work: its time.
    """

    folder: Path
    files: Mapping[str, Path]
    options: Mapping[str, DialValue]
    work: Work


Handler: TypeAlias = Callable[[Tools, Call], Answer]


@dataclass(frozen=True)
class Verb:
    """An address.

    Attributes:
        name: of the command, and below ``/``.
        files: fields that hold a file -> what it is, for people.
        accepts: options that the handler knows; the command says what each takes.
        handle: makes the answer, in a thread.
        kinds: of files that a browser should offer, by field.
    """

    name: str
    files: Mapping[str, str]
    accepts: frozenset[str]
    handle: Handler
    kinds: Mapping[str, str]


def _read(call: Call, name: str, limits: RequestLimits) -> RGBImage:
    """The picture in a field.

    Raises:
        RequestError: it is none, or too large.
    """
    path = call.files[name]
    call.work.check()
    with pillow_limit_raised():
        try:
            with Image.open(io.BytesIO(path.read_bytes())) as picture:
                width, height = picture.size
        except Exception:  # the reader below knows more formats, and says what is wrong
            width = height = 0
    if width * height > limits.megapixels * 1e6:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{name}: {width}x{height} pixels; this server takes {limits.megapixels:g} megapixels",
        )
    with _errors_of(name):
        return read_image(path)


@contextmanager
def _errors_of(field: str) -> Iterator[None]:
    """Let what goes wrong say which field it is about."""
    try:
        yield
    except FacecycleError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(status_of(error), f"{field}: {error}") from error


# -- pictures -------------------------------------------------------------------------------------


def _portrait(operation: str, function: Callable[..., RGBImage]) -> Handler:
    def handle(tools: Tools, call: Call) -> Answer:
        image = _read(call, "image", tools.limits)
        backend = WatchedBackend(tools.backend, call.work)
        result = function(image, model=tools.model, backend=backend, **call.options)
        return Answer(data=encode_image(result, provenance=tools.provenance(operation)))

    return handle


def _encode(tools: Tools, call: Call) -> Answer:
    image = _read(call, "image", tools.limits)
    options: dict[str, Any] = dict(call.options)
    if "only" in options:
        options["only"] = [name.strip() for name in options["only"].split(",") if name.strip()]
    backend = WatchedBackend(tools.backend, call.work)
    columns = encode(image, model=tools.model, backend=backend, **options)
    columns = {name: v for name, v in columns.items() if name not in ("source", "frame", "time")}
    count = len(next(iter(columns.values())))
    if not count:
        raise NoFaceError("no face found")
    faces = [{name: np.asarray(v[i]) for name, v in columns.items()} for i in range(count)]
    return Answer(fields={"faces": faces})


def _verify(tools: Tools, call: Call) -> Answer:
    images = [_read(call, name, tools.limits) for name in ("a", "b")]
    options: dict[str, Any] = dict(call.options)
    if "far" in options:
        if "threshold" in options:
            raise RequestError(HTTPStatus.BAD_REQUEST, "threshold and far say the same; choose one")
        far = options.pop("far")
        try:
            options["threshold"] = threshold_at_stored_far(tools.model, far).value
        except FacecycleError as error:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"far: {error}") from error
    backend = WatchedBackend(tools.backend, call.work)
    verdict = verify(images[0], images[1], model=tools.model, backend=backend, **options)
    return Answer(
        fields={
            "similarity": verdict.similarity,
            "threshold": verdict.threshold.value,
            "far": verdict.threshold.far,
            "measured_on": verdict.threshold.measured_on,
            "same": verdict.same,
            "verdict": verdict.word,
            "note": RESEARCH_ONLY,
        }
    )


# -- translate ------------------------------------------------------------------------------------


class _Events(TranslateEvents):
    """Ends the run with its request."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def progress(self, frames: int | None) -> AbstractContextManager[Callable[[], None]]:
        return nullcontext(self._call.work.check)

    def errors_of(self, name: str) -> AbstractContextManager[None]:
        is_target = name == str(self._call.files["target"])
        return _errors_of("target") if is_target else nullcontext()


def _translate(tools: Tools, call: Call) -> Answer:
    source, options = call.files["source"], dict(call.options)
    _read(call, "target", tools.limits)
    still = is_still(source)
    if still:
        _read(call, "source", tools.limits)
    job: dict[str, Any] = {name: options.pop(name) for name in _JOB & options.keys()}
    if not still:
        job |= _limited(source, job, tools.limits)
    output = call.folder / ("result.png" if still else "result.mp4")
    settings: dict[str, Any] = options
    run_translate(
        TranslateJob(
            source=str(source),
            target=str(call.files["target"]),
            output=str(output),
            settings=TranslateSettings(**settings),
            **job,
        ),
        lambda _: (tools.model, WatchedBackend(tools.backend, call.work)),
        _Events(call),
    )
    return Answer(file=output, media_type="image/png" if still else "video/mp4")


def _limited(source: Path, job: Mapping[str, Any], limits: RequestLimits) -> dict[str, float]:
    """Duration and number of frames of a clip, within the limits.

    Raises:
        RequestError: the clip is too long, or none.
    """
    most = limits.clip_seconds
    with _errors_of("source"):
        info = probe(source)
    wanted = job.get("duration")
    if wanted is None and info.duration is not None:
        wanted = info.duration - job.get("start", 0.0)
    if wanted is not None and "max_frames" in job:
        wanted = min(wanted, job["max_frames"] / float(info.fps))
    if wanted is not None and wanted > most + 1 / float(info.fps):
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"source: {wanted:.1f} seconds; this server takes {most:g} (duration says how much of "
            "it to use)",
        )
    frames = max(1, int(most * min(float(info.fps), _FASTEST)))
    return {
        "duration": min(most, job.get("duration", most)),
        "max_frames": min(frames, job.get("max_frames", frames)),
    }


_JOB = frozenset({"motion", "start", "duration", "max_frames"})
"""Options of translate that say what of the source to use; the others are settings."""

_PICTURE = "image/*"
_CLIP = "image/*,video/*"


def _options_of(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(signature(function).parameters) - _OWN


VERBS: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            "frontalize",
            {"image": "A photograph"},
            _options_of(frontalize),
            _portrait("frontalize", frontalize),
            {"image": _PICTURE},
        ),
        Verb(
            "neutralize",
            {"image": "A photograph"},
            _options_of(neutralize),
            _portrait("neutralize", neutralize),
            {"image": _PICTURE},
        ),
        Verb(
            "translate",
            {
                "source": "Whose motion: clip or photograph",
                "target": "Whose face: a photograph",
            },
            frozenset(each.name for each in fields(TranslateSettings)) | _JOB,
            _translate,
            {"source": _CLIP, "target": _PICTURE},
        ),
        Verb(
            "encode",
            {"image": "A photograph"},
            _options_of(encode),
            _encode,
            {"image": _PICTURE},
        ),
        Verb(
            "verify",
            {"a": "A photograph", "b": "Another photograph"},
            frozenset({"threshold", "far", "face"}),
            _verify,
            {"a": _PICTURE, "b": _PICTURE},
        ),
    )
}
"""The addresses, by name. An option of a command becomes a field as soon as the library's function
of the same name knows it."""
