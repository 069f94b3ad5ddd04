"""What is measured of each frame of a reenactment, and summed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from facecycle_cli.errors import EvaluationError
from facecycle_cli.evaluation.differences import Flicker, l1, ssim
from facecycle_cli.evaluation.motion_measures import (
    GAZE,
    IRIS_GAZE,
    MotionMeasures,
    eye_distance,
)
from facecycle_cli.evaluation.reenactment_results import (
    BEST_SIMILARITY,
    FIRST_FRAME,
    OUTPUT,
    ClipResult,
    PictureErrors,
)
from facecycle_cli.evaluation.strips import Strip, StripFrame
from facecycle_cli.faces import Alignment, Face, FaceBackend
from facecycle_cli.faces.attention_mesh import look_closely
from facecycle_cli.faces.gaze import Gaze
from facecycle_cli.faces.iris import read_gaze
from facecycle_cli.faces.similarity import apply_affine, fit_similarity, warp_antialiased
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.portraits import find_faces
from facecycle_cli.types import RGBImage
from facecycle_cli.verify.features import cosine
from facecycle_cli.verify.verify import identity_embedding

__all__ = ["CrossMeter", "FaceReader", "Pair", "SelfMeter", "target_face"]

_BOX_HEIGHT = 160
"""Height in pixels at which the boxes of faces are compared: about that of a face in the default
output, so that no clip is judged on more detail than others."""

_IDENTITY_STEP = 5
"""Every fifth frame is compared as ``verify`` does: it is slow, and changes slowly."""

_GAZE_STEP = 2
"""In every second frame irises are searched for, which takes as long as the landmarks do."""

_TILE = 192
"""Side of the pictures of a strip, in pixels."""

_WINDOW = 1.7
"""Side of the part of the frame that a strip shows, in heights of the first face's box."""


class Pair(NamedTuple):
    """A frame of a clip, and what was made of it.

    Attributes:
        time: of the frame, in seconds.
        source: the frame, (H, W, 3) uint8.
        output: what ``translate`` made of it, (H', W', 3) uint8.
    """

    time: float
    source: RGBImage
    output: RGBImage


def _add_gazes(motion: MotionMeasures, pair: Pair, source: Face, output: Face) -> None:
    """Where both faces of a frame look, as two networks see it."""
    for measure, read in ((GAZE, _close_gaze), (IRIS_GAZE, read_gaze)):
        motion.add_gaze(measure, read(pair.source, source), read(pair.output, output))


def _close_gaze(image: RGBImage, face: Face) -> Gaze:
    return look_closely(image, face).gaze


def target_face(image: RGBImage, backend: FaceBackend) -> Face:
    """The face that performs: the largest one.

    Raises:
        NoFaceError: there is none, or the border cuts it off.
    """
    (face,) = find_faces(image, backend)
    return face


class FaceReader:
    """Measures one face in frame after frame, from where it was in the last one.

    Args:
        backend: finds the face.
        last: the face in the frame before, or in one like it.
    """

    def __init__(self, backend: FaceBackend, last: Face | None = None) -> None:
        self._backend = backend
        self._last = last

    def read(self, frame: RGBImage) -> Face | None:
        """The face in the next frame; None if there is none."""
        found: Face | None = None
        if self._last is not None:
            (near,) = self._backend.follow([frame], [self._last])
            # Landmarks are best in the middle of what the network is shown: measure once more.
            (found,) = self._backend.follow([frame], [near])
        if found is None:
            (faces,) = self._backend.detect([frame])
            found = faces[0] if faces else None
        self._last = found
        return found


class _Mean:
    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        self._sum += value
        self._count += 1

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count else None


class _Identity:
    """Similarities of faces, as ``verify`` compares them."""

    def __init__(self, model: FaceCycle) -> None:
        self._model = model

    def embed(self, image: RGBImage, face: Face) -> np.ndarray:
        crop = Alignment.from_face(face, self._model.verifier.side).crop(image)
        return identity_embedding(self._model, crop[None])


class _Window:
    """A fixed square of a picture around a face, for strips."""

    def __init__(self, face: Face) -> None:
        box = _box(face)
        scale = _TILE / (_WINDOW * float(max(box[3] - box[1], 1.0)))
        shift = (_TILE - 1) / 2 - scale * (box[:2] + box[2:]) / 2
        self._matrix = np.column_stack((scale * np.eye(2), shift))

    def cut(self, image: RGBImage) -> RGBImage:
        return warp_antialiased(image, self._matrix, (_TILE, _TILE))


class CrossMeter:
    """Measures a clip that another person performs.

    Args:
        target: (H, W, 3) uint8, the picture of that person.
        face: in it.
        model: compares identities.
        judge: finds the faces.
    """

    def __init__(self, target: RGBImage, face: Face, model: FaceCycle, judge: FaceBackend) -> None:
        self._embedder = _Identity(model)
        self._own = self._embedder.embed(target, face)
        self._faces = FaceReader(judge), FaceReader(judge)
        self._motion, self._identity, self._strip = MotionMeasures(), _Mean(), Strip()
        self._frames = self._source_lost = self._output_lost = 0
        self._windows: tuple[_Window, _Window] | None = None

    def add(self, pair: Pair) -> None:
        """Add the next frame."""
        source, output = (
            reader.read(image) for reader, image in zip(self._faces, pair[1:], strict=True)
        )
        if source is None:
            self._source_lost += 1
            return
        self._frames += 1
        if output is None:
            self._output_lost += 1
        else:
            self._motion.add(source, output)
            if self._frames % _GAZE_STEP:
                _add_gazes(self._motion, pair, source, output)
            if self._frames % _IDENTITY_STEP == 1:
                embedded = self._embedder.embed(pair.output, output)
                self._identity.add(float(cosine(embedded, self._own)[0]))
            self._windows = self._windows or (_Window(source), _Window(output))
        self._show(pair)

    def result(self, name: str) -> ClipResult:
        """What was measured.

        Raises:
            EvaluationError: no frame could be compared.
        """
        _require(self._frames)
        return ClipResult(
            name,
            self._frames,
            self._source_lost,
            self._output_lost,
            {OUTPUT: PictureErrors(identity=self._identity.value)},
            self._motion.summary(),
            strip=self._strip,
        )

    def _show(self, pair: Pair) -> None:
        if self._windows is None or not self._strip.wants_next:
            self._strip.skip()
            return
        tiles = [w.cut(image) for w, image in zip(self._windows, pair[1:], strict=True)]
        self._strip.add(StripFrame(pair.time, dict(zip(("source", OUTPUT), tiles, strict=True))))


class _PictureSums:
    """The numbers of one kind of picture."""

    def __init__(self) -> None:
        self.l1, self.ssim, self.identity = _Mean(), _Mean(), _Mean()
        self.akd, self.akd_aligned = _Mean(), _Mean()

    def summary(self) -> PictureErrors:
        return PictureErrors(**{name: mean.value for name, mean in vars(self).items()})


class SelfMeter:
    """Measures a clip that its own first frame performs.

    Args:
        target: (H, W, 3) uint8, the first frame.
        face: in it.
        model: compares identities.
        judge: finds the faces.
    """

    def __init__(self, target: RGBImage, face: Face, model: FaceCycle, judge: FaceBackend) -> None:
        self._target, self._points = target, face.landmarks[:, :2].astype(np.float64)
        self._embedder = _Identity(model)
        self._own = self._embedder.embed(target, face)
        self._faces = FaceReader(judge, face), FaceReader(judge, face)
        self._sums = {kind: _PictureSums() for kind in (OUTPUT, FIRST_FRAME, BEST_SIMILARITY)}
        self._motion, self._flicker, self._strip = MotionMeasures(), Flicker(), Strip()
        self._window = _Window(face)
        self._frames = self._source_lost = self._output_lost = 0

    def add(self, pair: Pair) -> None:
        """Add the next frame; its output has the size of the frame."""
        source, output = (
            reader.read(image) for reader, image in zip(self._faces, pair[1:], strict=True)
        )
        if source is None:
            self._source_lost += 1
            self._flicker.interrupt()
            return
        self._frames += 1
        points = source.landmarks[:, :2].astype(np.float64)
        similarity = fit_similarity(self._points, points)
        self._compare_pictures(pair, _box(source), similarity)
        self._flicker.add(pair.source, pair.output, _box(source))
        if output is None:
            self._output_lost += 1
        else:
            made = {
                OUTPUT: output.landmarks[:, :2].astype(np.float64),
                FIRST_FRAME: self._points,
                BEST_SIMILARITY: apply_affine(similarity, self._points),
            }
            self._compare_points(made, points, eye_distance(source))
            self._motion.add(source, output)
            if self._frames % _GAZE_STEP:
                _add_gazes(self._motion, pair, source, output)
            if self._frames % _IDENTITY_STEP == 1:
                self._compare_identity(pair, source, output)
        self._show(pair, similarity)

    def result(self, name: str) -> ClipResult:
        """What was measured.

        Raises:
            EvaluationError: no frame could be compared.
        """
        _require(self._frames)
        return ClipResult(
            name,
            self._frames,
            self._source_lost,
            self._output_lost,
            {kind: sums.summary() for kind, sums in self._sums.items()},
            self._motion.summary(),
            {"output": self._flicker.output, "source": self._flicker.source},
            self._strip,
        )

    def _compare_pictures(self, pair: Pair, box: np.ndarray, similarity: np.ndarray) -> None:
        """L1 and SSIM within the box of the frame's face."""
        scale = _BOX_HEIGHT / max(1.0, float(box[3] - box[1]))
        size = max(16, round(scale * float(box[2] - box[0]))), _BOX_HEIGHT
        to_box = np.column_stack((scale * np.eye(2), (scale - 1) / 2 - scale * box[:2]))
        wanted = warp_antialiased(pair.source, to_box, size)
        made = {
            OUTPUT: warp_antialiased(pair.output, to_box, size),
            FIRST_FRAME: warp_antialiased(self._target, to_box, size),
            BEST_SIMILARITY: warp_antialiased(self._target, _after(similarity, to_box), size),
        }
        for kind, picture in made.items():
            self._sums[kind].l1.add(l1(picture, wanted))
            self._sums[kind].ssim.add(ssim(picture, wanted))

    def _compare_points(
        self, made: Mapping[str, np.ndarray], wanted: np.ndarray, eye_distance: float
    ) -> None:
        for kind, points in made.items():
            aligned = apply_affine(fit_similarity(points, wanted), points)
            for mean, each in (
                (self._sums[kind].akd, points),
                (self._sums[kind].akd_aligned, aligned),
            ):
                distance = float(np.linalg.norm(each - wanted, axis=1).mean())
                mean.add(100 * distance / eye_distance)

    def _compare_identity(self, pair: Pair, source: Face, output: Face) -> None:
        wanted = self._embedder.embed(pair.source, source)
        embedded = self._embedder.embed(pair.output, output)
        self._sums[OUTPUT].identity.add(float(cosine(embedded, wanted)[0]))
        self._sums[FIRST_FRAME].identity.add(float(cosine(self._own, wanted)[0]))

    def _show(self, pair: Pair, similarity: np.ndarray) -> None:
        if not self._strip.wants_next:
            self._strip.skip()
            return
        height, width = pair.source.shape[:2]
        moved = warp_antialiased(self._target, similarity, (width, height))
        rows = {
            "source": pair.source,
            OUTPUT: pair.output,
            FIRST_FRAME: self._target,
            BEST_SIMILARITY: moved,
        }
        tiles = {name: self._window.cut(picture) for name, picture in rows.items()}
        self._strip.add(StripFrame(pair.time, tiles))


def _box(face: Face) -> np.ndarray:
    """(4,) float64 x0, y0, x1, y1: the box around the landmarks."""
    points = face.landmarks[:, :2].astype(np.float64)
    return np.concatenate((points.min(0), points.max(0)))


def _after(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The affine map (2, 3) that applies ``first`` and then ``second``."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack((linear, apply_affine(second, first[:, 2])))


def _require(frames: int) -> None:
    if not frames:
        raise EvaluationError("no frame shows the face after the one that performs")
