"""A video whose faces are moved as those of a photograph, and held steady: on arrays."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch

from facecycle_cli.errors import NoFaceError, SettingsError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.faces.choice import FaceChoice, check_face_choice
from facecycle_cli.faces.following import FaceFollower, Sighting, skull_points, video_tracker
from facecycle_cli.media.pipeline import batches, in_thread
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import resize_crops
from facecycle_cli.portrait.defaults import DEFAULT_SIZE, default_backend, default_model
from facecycle_cli.portrait.likeness import open_choice
from facecycle_cli.portrait.motions import PortraitMotion
from facecycle_cli.portrait.portraits import Portrait, move_aligned, paste_portraits
from facecycle_cli.portrait.steady import SteadyFace, smoothed_faces, steady_faces
from facecycle_cli.types import RGBImage

__all__ = ["PortraitVideo"]


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
    ) -> None:
        self.frames = self.faces_found = self.most_besides = 0
        self._model, self._backend = model or default_model(), backend or default_backend()
        self._choice = open_choice(check_face_choice(face), self._model, self._backend)
        if face == "all" and not paste_back:
            raise SettingsError("all faces of a video need paste_back: a crop shows one face")
        self._motion, self._size, self._fps = motion, size, fps
        self._images: deque[RGBImage] | None = deque() if paste_back else None
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
            if self._images is not None:
                self._images.append(image)
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
            if self._images is not None:
                self.frames += 1
                yield paste_portraits(self._images.popleft(), made)
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
