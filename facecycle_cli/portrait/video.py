"""A video whose faces are moved as those of a photograph, and held steady: on arrays."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import torch

from facecycle_cli.errors import MediaError, NoFaceError, SettingsError
from facecycle_cli.faces import Alignment, FaceBackend, paste_back
from facecycle_cli.faces.choice import FaceChoice, check_face_choice
from facecycle_cli.faces.following import FaceFollower, Sighting, skull_points, video_tracker
from facecycle_cli.media.pipeline import batches, in_thread
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.portrait.defaults import DEFAULT_SIZE, default_backend, default_model
from facecycle_cli.portrait.features import smoothstep
from facecycle_cli.portrait.likeness import open_choice
from facecycle_cli.portrait.motions import PortraitMotion
from facecycle_cli.portrait.portraits import Portrait, head_outline, move_aligned
from facecycle_cli.portrait.steady import SteadyFace, smoothed_faces, steady_faces
from facecycle_cli.types import RGBImage

__all__ = ["PortraitVideo", "enlarged"]


_TURNED = 6.0, 16.0
"""Degrees of yaw from which more than the oval of a face is put back into a frame, and from which
the whole head is."""

_INSIDE = 0.5
"""The outline of a head, shrunk by this factor, lies within the oval of its face."""


class PortraitVideo(Iterator[RGBImage]):
    """The frames of a video with its faces moved, made as they are asked for.

    Whatever the length of the video, a few dozen frames are in memory. A thread is at work until
    the last frame: close a video that is not read to its end, or use a ``with`` block.

    Each frame of the input gives one frame. In one without a face, a crop holds the last result
    (before the first one: the first), and a whole frame stays as it is.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        motion: a constant of :mod:`facecycle_cli.portrait.motions`.
        fps: frames per second; smoothing depends on it.
        model: the networks; None: the embedded checkpoint.
        backend: finds the faces; None: the mesh.
        face: which face, see :data:`.FaceChoice`; ``all`` with ``paste_back``.
        size: side of the crops in pixels.
        paste_back: put the results back into the whole frames.
        whole: the same frames at a larger size, read a second time, into which the results are put
            back; None: ``frames`` themselves, a few dozen of which are held until then.

    Attributes:
        frames: how many have been given out.
        faces_found: in how many of them a face was seen.
        most_besides: the largest number of faces besides the chosen one in any frame.

    Raises:
        SettingsError: there is no such choice, or all faces are wanted in one crop.
        NoFaceError: when iterating: there is no (such) face in the whole video.
    """

    def __init__(
        self,
        frames: Iterable[RGBImage],
        motion: PortraitMotion,
        *,
        fps: float = 25.0,
        model: FaceCycle | None = None,
        backend: FaceBackend | None = None,
        face: FaceChoice = "largest",
        size: int = DEFAULT_SIZE,
        paste_back: bool = False,
        whole: Iterable[RGBImage] | None = None,
    ) -> None:
        self.frames = self.faces_found = self.most_besides = 0
        self._model, self._backend = model or default_model(), backend or default_backend()
        self._choice = open_choice(check_face_choice(face), self._model, self._backend)
        if face == "all" and not paste_back:
            raise SettingsError("all faces of a video need paste_back: a crop shows one face")
        self._motion, self._size, self._fps = motion, size, fps
        self._paste_back = paste_back
        self._whole = None if whole is None else iter(whole)
        self._kept = deque[RGBImage]()
        self._frame_size = 0, 0
        self._source = frames
        self._output = self._make()

    def __next__(self) -> RGBImage:
        return next(self._output)

    def __enter__(self) -> PortraitVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread. Iterating further ends at once."""
        self._output.close()

    # -- frames to steady faces --------------------------------------------------------------------

    def _read(self) -> Iterator[RGBImage]:
        for image in self._source:
            self._frame_size = image.shape[1], image.shape[0]
            if self._paste_back and self._whole is None:
                self._kept.append(image)
            yield image

    def _sightings(self) -> Iterator[list[Sighting]]:
        """The faces of each frame, largest first."""
        if self._choice == "all":
            for image, found in video_tracker(self._backend).track(self._read()):
                largest_first = sorted(found.faces.items(), key=lambda item: -item[1].area)
                yield [Sighting(image, face, n, skull_points(face)) for n, face in largest_first]
            return
        follower = FaceFollower(self._backend, self._choice)
        for seen in follower.follow(self._read()):
            self.most_besides = follower.most_besides
            yield [] if seen is None else [seen]

    def _cut(self) -> Generator[list[list[SteadyFace]], None, None]:
        """The faces of each frame in their steady crops, in batches of frames."""
        return batches(steady_faces(self._sightings(), self._size, self._fps))

    # -- steady faces to frames --------------------------------------------------------------------

    @torch.inference_mode()
    def _flows(self, faces: Sequence[SteadyFace]) -> list[SteadyFace]:
        if not faces:
            return []
        crops = np.stack([face.crop for face in faces])
        x = self._model.to_input(resize_crops(crops, self._model.config.image_size))
        flows = self._motion.flow(self._model, x).cpu().numpy()
        return [replace(face, flow=flow) for face, flow in zip(faces, flows, strict=True)]

    def _with_flows(self) -> Iterator[list[SteadyFace]]:
        with closing(in_thread(self._cut)) as cut:
            for batch in cut:
                found = iter(self._flows([face for group in batch for face in group]))
                for group in batch:
                    yield list(itertools.islice(found, len(group)))

    def _moved(self) -> Iterator[list[Portrait]]:
        for batch in batches(smoothed_faces(self._with_flows(), self._fps)):
            faces = [face for group in batch for face in group]
            made: Iterator[Portrait] = iter(())
            if faces:
                flows = torch.from_numpy(np.stack([face.flow for face in faces]))
                motion = self._motion.with_flow(flows.to(self._model.device))
                steady = [face.in_frame() for face in faces]
                alignments = [face.alignment for face in faces]
                wide = np.stack([face.wide for face in faces])
                made = iter(move_aligned(steady, alignments, wide, self._model, motion))
            for group in batch:
                yield list(itertools.islice(made, len(group)))

    def _make(self) -> Generator[RGBImage, None, None]:
        last: RGBImage | None = None
        waiting = 0  # frames before the first face
        for made in self._moved():
            self.faces_found += bool(made)
            if self._paste_back:
                self.frames += 1
                yield self._pasted(made)
                continue
            waiting += 1
            last = made[0].result if made else last
            while last is not None and waiting:
                waiting -= 1
                self.frames += 1
                yield last
        if not self.faces_found:
            if self.most_besides:
                raise NoFaceError(f"no face {self._choice}; it shows {self.most_besides}")
            raise NoFaceError("no face found in any frame")

    def _pasted(self, made: Sequence[Portrait]) -> RGBImage:
        """The next whole frame with the results in it."""
        if self._whole is None:
            return _paste(self._kept.popleft(), made)
        image = next(self._whole, None)
        if image is None:
            raise MediaError("the video could not be read to its end a second time")
        factors = image.shape[1] / self._frame_size[0], image.shape[0] / self._frame_size[1]
        return _paste(image, [enlarged(portrait, factors) for portrait in made])


def _paste(image: RGBImage, portraits: Sequence[Portrait]) -> RGBImage:
    """As :func:`.paste_portraits`, but what is replaced grows with the turn of a head.

    In a photograph it is the face's oval, or from some yaw on the whole head; in a video the step
    from one to the other would be seen.
    """
    for portrait in reversed(portraits):
        image = paste_back(image, portrait.result, portrait.alignment, _region(portrait))
    return image


def _region(portrait: Portrait) -> np.ndarray:
    """The polygon of the frame that a result replaces, (K, 2) float32."""
    oval = portrait.face.oval
    yaw = np.array(abs(portrait.face.pose.yaw))
    share = 1.0 if portrait.turned else float(smoothstep(yaw, *_TURNED))
    if not share:
        return oval
    middle = oval.mean(0)
    head = middle + (_INSIDE + (1 - _INSIDE) * share) * (head_outline(portrait) - middle)
    return cv2.convexHull(np.concatenate((oval, head)).astype(np.float32))[:, 0]


def enlarged(portrait: Portrait, factors: tuple[float, float]) -> Portrait:
    """The same portrait of a picture that is larger by these factors, (x, y)."""
    scale = np.array(factors)
    # Pixel centers are at integers: small + 0.5 = (large + 0.5) / scale.
    shrink = np.column_stack([np.diag(1 / scale), 0.5 / scale - 0.5])
    matrix = portrait.alignment.matrix
    to_crop = matrix[:, :2] @ shrink
    to_crop[:, 2] += matrix[:, 2]
    face = portrait.face
    landmarks = face.landmarks * np.append(scale, scale[0])
    landmarks[:, :2] += (scale - 1) / 2
    box = (face.box + 0.5) * np.tile(scale, 2) - 0.5
    larger = replace(face, box=box.astype(np.float32), landmarks=landmarks.astype(np.float32))
    alignment = Alignment(to_crop, portrait.alignment.size)
    return replace(portrait, face=larger, alignment=alignment)
