"""Faces through a video: detected in every few frames, followed in between.

Detection costs several times what following does, and a detector's landmarks jitter more. Only *key
frames* are therefore searched for faces. Where the same face is found in two key frames, the frame
halfway between is given to the landmark network at the position halfway between, then the quarters,
and so on: each step halves the distance over which a movement has to be guessed, all frames of a
step go through the network together, and an error cannot accumulate as it does when each frame
starts from the last. Where a face is not in both key frames, or gets lost between them, the halfway
frame is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from facecycle_cli.faces.backend import FaceBackend, settled
from facecycle_cli.faces.cuts import CutDetector
from facecycle_cli.faces.face import Face
from facecycle_cli.types import RGBImage

__all__ = ["FaceTracker", "TrackedFrame"]

STRIDE = 8  # between key frames; a power of two halves evenly
_WINDOW = 2 * STRIDE  # frames held at once

# In units of a face's radius (root mean square distance of its landmarks from their center, about
# 0.4 of its width):
_NEAR = 1.3  # between two positions that can be the same face in frames next to each other
_FAR = 2.0  # ... in neighboring key frames
_RATIO = 1.6  # of two radii of the same face
_DRIFT = 0.6  # between where a face was expected and found: more needs another look


@dataclass(frozen=True)
class TrackedFrame:
    """What was found in one frame.

    Attributes:
        shot: number of the shot, from 0; a cut begins another.
        faces: track number -> face. A track is one person without interruption: its number never
            comes back after a cut, nor when a face returns that was away for longer than
            ``patience``.
    """

    shot: int
    faces: dict[int, Face]


class FaceTracker:
    """Tracks faces through the frames of one video.

    Args:
        backend: finds the faces and follows them.
        everyone: track all faces. Otherwise one at a time: the largest in a shot's first frame
            until it is lost, the shot ends, or a face of twice its area comes.
        min_face: height in pixels of the smallest face to search for.
        patience: frames for which a face may be occluded without ending its track.
        stride: frames from one detection to the next; 1 detects in every frame and follows nothing,
            for frames that were cut out one by one.
        settle: measure what detection finds once more, as :func:`.settled` does: a still face has
            the same landmarks in all frames.
        least_share: while faces are tracked, search only for others of at least this share of the
            height of the smallest of them. Of a large face, this takes a quarter of the time.
    """

    def __init__(
        self,
        backend: FaceBackend,
        *,
        everyone: bool = False,
        min_face: int = 24,
        patience: int = 5,
        stride: int = STRIDE,
        settle: bool = False,
        least_share: float = 0.0,
    ) -> None:
        self._backend = backend
        self._least_share = least_share
        self._settle = settle
        self._stride = stride
        self._everyone = everyone
        self._min_face = min_face
        self._linker = _Linker(everyone, patience)
        self._subject = _Subject()

    def track(self, frames: Iterable[RGBImage]) -> Iterator[tuple[RGBImage, TrackedFrame]]:
        """Each frame (RGB uint8, (H, W, 3), all of one size) with what was found in it.

        Holds some twenty frames at a time, whatever the length of the video.
        """
        is_cut = CutDetector()
        shot = 0
        window: list[RGBImage] = []
        known: list[Face] | None = None  # in the first frame of the window, from the last window
        for image in frames:
            if is_cut(image):
                yield from self._finish(window, known, shot)
                shot, window, known = shot + 1, [], None
                self._subject = _Subject()
            window.append(image)
            if len(window) > _WINDOW:
                found = self._find(window, known)
                yield from self._link(window[:-1], found[:-1], shot)
                window, known = window[-1:], found[-1]
        yield from self._finish(window, known, shot)

    def _finish(
        self, window: list[RGBImage], known: list[Face] | None, shot: int
    ) -> Iterator[tuple[RGBImage, TrackedFrame]]:
        yield from self._link(window, self._find(window, known), shot)

    def _link(
        self, images: Sequence[RGBImage], found: Sequence[list[Face]], shot: int
    ) -> Iterator[tuple[RGBImage, TrackedFrame]]:
        for image, faces in zip(images, found, strict=True):
            yield image, TrackedFrame(shot, self._linker(faces, shot))

    def _find(self, images: Sequence[RGBImage], known: list[Face] | None) -> list[list[Face]]:
        """The faces of every frame of one shot's part; ``known``: those of its first frame."""
        last = len(images) - 1
        if last < 0:
            return []
        keys = sorted({*range(0, last, self._stride), last})
        found: dict[int, list[Face]] = {} if known is None else {0: known}
        missing = [k for k in keys if k not in found]
        found.update(zip(missing, self._detect(images, missing, known or ()), strict=True))
        if not self._everyone:
            found.update((k, self._subject.choose(found[k])) for k in missing)
        spans = [(a, b) for a, b in pairwise(keys) if b - a > 1]
        while spans:
            self._halve(images, found, spans)
            halves = [(a, (a + b) // 2) for a, b in spans] + [((a + b) // 2, b) for a, b in spans]
            spans = [(a, b) for a, b in halves if b - a > 1]
        return [found[i] for i in range(last + 1)]

    def _halve(
        self,
        images: Sequence[RGBImage],
        found: dict[int, list[Face]],
        spans: Sequence[tuple[int, int]],
    ) -> None:
        """Fill in the frame halfway between the ends of every span, where both are known."""
        expected: list[tuple[int, Face]] = []
        search: set[int] = set()
        for a, b in spans:
            middle = (a + b) // 2
            found[middle] = []
            pairs = _match(found[a], found[b], _FAR)
            share = (middle - a) / (b - a)
            expected += [(middle, _between(found[a][i], found[b][j], share)) for i, j in pairs]
            # One that is only at one end came or went in between. What comes and goes between two
            # empty ends is missed: searching every frame of an empty video costs too much.
            if len(pairs) < max(len(found[a]), len(found[b])):
                search.add(middle)
        expected = [(k, face) for k, face in expected if k not in search]
        for (k, _), face in zip(expected, self._follow(images, expected), strict=True):
            if face is None:
                search.add(k)
            else:
                found[k].append(face)
        middles = sorted(search)
        found.update(zip(middles, self._detect(images, middles), strict=True))
        if not self._everyone:
            ends = {(a + b) // 2: found[a] + found[b] for a, b in spans}
            for k in middles:
                found[k] = [f for f in found[k] if any(_is_near(e, f, _FAR) for e in ends[k])]

    def _detect(
        self, images: Sequence[RGBImage], indices: Iterable[int], known: Sequence[Face] = ()
    ) -> list[list[Face]]:
        """The faces of some frames; ``known``: those of a frame near by."""
        least = self._least_share * min((f.box[3] - f.box[1] for f in known), default=0.0)
        min_face = max(self._min_face, int(least))
        chosen = [images[i] for i in indices]
        found = self._backend.detect(chosen, min_face=min_face) if chosen else []
        if self._settle:
            shown = [image for image, faces in zip(chosen, found, strict=True) for _ in faces]
            faces = iter(settled(self._backend, shown, [face for each in found for face in each]))
            found = [[next(faces) for _ in each] for each in found]
        return found

    def _follow(
        self, images: Sequence[RGBImage], expected: Sequence[tuple[int, Face]]
    ) -> list[Face | None]:
        """The faces near where they are expected, None where there is none."""
        if not expected:
            return []
        near = [face for _, face in expected]
        faces = self._backend.follow([images[k] for k, _ in expected], near)
        # A face at the edge of what the network was shown is measured badly: look again from there.
        drifted = [
            i
            for i, (face, expected_face) in enumerate(zip(faces, near, strict=True))
            if face is not None and not _is_near(expected_face, face, _DRIFT)
        ]
        if drifted:
            pictures = [images[expected[i][0]] for i in drifted]
            again = self._backend.follow(pictures, [faces[i] for i in drifted])
            for i, face in zip(drifted, again, strict=True):
                first = faces[i]
                stays = face is not None and first is not None and _is_near(first, face, _DRIFT)
                faces[i] = face if stays else None
        return faces


class _Subject:
    """Picks the one face of a shot that is worth following, key frame after key frame."""

    def __init__(self) -> None:
        self._face: Face | None = None
        self._misses = 0

    def choose(self, faces: Sequence[Face]) -> list[Face]:
        """The subject among the faces of a key frame, or a larger one that replaces it."""
        if not faces:
            return []
        largest = max(faces, key=lambda face: face.area)
        same = [] if self._face is None else _match([self._face], faces, _FAR)
        if same and 2 * faces[same[0][1]].area >= largest.area:
            self._face, self._misses = faces[same[0][1]], 0
            return [self._face]
        # One miss may be the detector's: the subject stays the subject until it is missed twice.
        self._misses += 1
        if same or self._face is None or self._misses > 1:
            self._face, self._misses = largest, 0
        return [largest]


class _Linker:
    """Gives faces the numbers of their tracks, frame after frame."""

    def __init__(self, everyone: bool, patience: int) -> None:
        self._everyone = everyone
        self._patience = patience
        self._shot = 0
        self._now = 0
        self._next = 0
        self._tracks: dict[int, tuple[Face, int]] = {}  # where each was last seen, and when

    def __call__(self, faces: Sequence[Face], shot: int) -> dict[int, Face]:
        self._now += 1
        if shot != self._shot:
            self._shot = shot
            self._tracks.clear()
        oldest = self._now - self._patience - 1
        self._tracks = {n: seen for n, seen in self._tracks.items() if seen[1] >= oldest}
        numbers = list(self._tracks)
        pairs = _match([self._tracks[n][0] for n in numbers], faces, _NEAR)
        linked = {numbers[i]: faces[j] for i, j in pairs}
        taken = {j for _, j in pairs}
        fresh = [face for j, face in enumerate(faces) if j not in taken]
        if not self._everyone:
            fresh = [] if self._tracks else sorted(fresh, key=lambda face: -face.area)[:1]
        for face in fresh:
            linked[self._next] = face
            self._next += 1
        self._tracks.update({n: (face, self._now) for n, face in linked.items()})
        return linked


def _position(face: Face) -> tuple[np.ndarray, float]:
    """Center and radius of a face."""
    points = face.landmarks[:, :2]
    center = points.mean(0)
    return center, float(np.sqrt(((points - center) ** 2).sum(1).mean()))


def _is_near(one: Face, other: Face, reach: float) -> bool:
    return _distance(one, other, reach) is not None


def _distance(one: Face, other: Face, reach: float) -> float | None:
    """Between two faces, in radii; None if they cannot be the same."""
    (center, radius), (other_center, other_radius) = _position(one), _position(other)
    small, large = sorted((radius, other_radius))
    if large > _RATIO * small:
        return None
    distance = float(np.linalg.norm(center - other_center)) * 2 / (small + large)
    return distance if distance <= reach else None


def _match(before: Sequence[Face], after: Sequence[Face], reach: float) -> list[tuple[int, int]]:
    """Which face of ``before`` is which of ``after``: the nearest pairs first."""
    candidates = sorted(
        (distance, i, j)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if (distance := _distance(one, other, reach)) is not None
    )
    pairs: list[tuple[int, int]] = []
    for _, i, j in candidates:
        if all(i != k and j != m for k, m in pairs):
            pairs.append((i, j))
    return sorted(pairs)


def _between(before: Face, after: Face, share: float) -> Face:
    """The face part of the way (0..1) from one position to the other."""
    landmarks = before.landmarks + share * (after.landmarks - before.landmarks)
    box = before.box + share * (after.box - before.box)
    score = before.score + share * (after.score - before.score)
    return replace(before, landmarks=landmarks.astype(np.float32), box=box, score=score)
