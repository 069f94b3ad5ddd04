"""Measured faces through the networks, and ``encode`` as a function of arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facecycle_cli.encode.columns import NETWORK_COLUMNS, SOURCE, Column, choose_columns
from facecycle_cli.encode.records import FaceRecord, Measurer
from facecycle_cli.errors import CommandError, NoFaceError
from facecycle_cli.faces import FaceBackend, search_photos
from facecycle_cli.faces.choice import FaceChoice, accepts_faces, choose_faces
from facecycle_cli.model import FaceCycle
from facecycle_cli.model.tensors import is_finite
from facecycle_cli.portrait.defaults import default_backend, default_model
from facecycle_cli.portrait.likeness import open_choice
from facecycle_cli.portrait.portraits import check_picture
from facecycle_cli.types import RGBImage

__all__ = ["Encoder", "encode"]

_CPU_BATCH = 16
"""Faces that a CPU encodes at once: more outgrow its cache and take longer each."""

_PICTURES = 16
"""Pictures in which faces are searched for at once."""


class Encoder:
    """Makes the columns of faces.

    Args:
        model: the networks.
        columns: the wanted ones.
    """

    def __init__(self, model: FaceCycle, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._model = model
        self._networks: dict[str, Callable[[Tensor], Tensor]] = {
            "identity_code": model.encode_identity,
            "expression_code": model.encode_expression,
            "verification_vector": model.embed_identity,
        }

    def __call__(self, records: Sequence[FaceRecord]) -> dict[str, NDArray[Any]]:
        """The columns of N faces, (N, ...) each; NaN for what is not known.

        Raises:
            CommandError: the networks make numbers that are not finite.
        """
        made = self._run_networks(records)
        rows: dict[str, NDArray[Any]] = {}
        for column in self.columns:
            name = column.name
            if name in made:
                rows[name] = made[name]
            elif name in ("frame", "time", "face"):
                values = [getattr(record, name) for record in records]
                rows[name] = np.array(values, column.dtype)
            else:
                rows[name] = np.full((len(records), *column.shape), np.nan, column.dtype)
                for i, record in enumerate(records):
                    if name in record.measures:
                        rows[name][i] = record.measures[name]
        return rows

    @torch.inference_mode()
    def _run_networks(self, records: Sequence[FaceRecord]) -> dict[str, NDArray[np.float32]]:
        wanted = [c.name for c in self.columns if c.name in NETWORK_COLUMNS]
        shapes = {c.name: c.shape for c in self.columns}
        if not records:
            return {name: np.empty((0, *shapes[name]), np.float32) for name in wanted}
        parts: dict[str, list[Tensor]] = {name: [] for name in wanted}
        step = _CPU_BATCH if self._model.device.type == "cpu" else len(records)
        for start in range(0, len(records), step):
            inputs = self._inputs(records[start : start + step], wanted)
            for name in wanted:
                parts[name].append(self._networks[name](inputs[name == "verification_vector"]))
        made = {name: torch.cat(part).cpu() for name, part in parts.items()}
        if not all(is_finite(values) for values in made.values()):
            # It is the weights: a face is bytes, of which no sound network makes such numbers.
            raise CommandError("this checkpoint's codes of a face are not finite")
        return {name: values.float().numpy() for name, values in made.items()}

    def _inputs(self, records: Sequence[FaceRecord], wanted: Sequence[str]) -> dict[bool, Tensor]:
        """Normalized crops: those of the verification vector (True), and those of the codes."""
        found: dict[bool, Tensor] = {}
        for of_vector in {name == "verification_vector" for name in wanted}:
            crops = [r.vector_crop if of_vector else r.code_crop for r in records]
            found[of_vector] = self._model.to_input(np.stack(crops), len(crops[0]))
        return found


@accepts_faces
def encode(
    images: RGBImage | Iterable[RGBImage],
    *,
    model: FaceCycle | None = None,
    backend: FaceBackend | None = None,
    face: FaceChoice = "largest",
    aligned: bool = False,
    landmarks: bool = False,
    only: Sequence[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Describe the faces of pictures by the networks' codes and by what can be measured.

    Args:
        images: (H, W, 3) uint8 RGB, one picture or several.
        model: the networks; None: the embedded checkpoint on the CPU.
        backend: finds the faces; None: the mesh.
        face: which faces of each picture: ``largest``, ``all``, ``left``, ``right``, a number from
            1 (the largest) on, ``like:FILE``, or a function: see :data:`.FaceChoice`.
        aligned: the pictures are face crops already: no face is searched for.
        landmarks: add the column ``landmarks``; with ``aligned``, measure pose and openings, too.
        only: names of the wanted columns besides ``source``, ``frame``, ``time`` and ``face``.

    Returns:
        The columns by name, each with one row per face: see docs/encode.md for their units.
        ``source`` is the number of the picture, from 0. A picture without such a face has no row.

    Raises:
        MediaError: one of them is no picture.
        SettingsError: there is no such column, or no such choice of faces.
    """
    model = model or default_model()
    backend = backend or default_backend()
    kind = ("face-alignment" if backend.name == "face-alignment" else "mesh") if landmarks else None
    encoder = Encoder(model, choose_columns(model, only, "mesh" if kind and aligned else kind))
    measurer = Measurer(model, landmarks=landmarks)
    pictures = [images] if isinstance(images, np.ndarray) and images.ndim <= 3 else images
    parts: list[dict[str, NDArray[Any]]] = []
    found = _measured(pictures, measurer, backend, open_choice(face, model, backend), aligned)
    while batch := list(itertools.islice(found, 4 * _PICTURES)):
        rows = encoder([record for _, record in batch])
        parts.append({SOURCE: np.array([number for number, _ in batch], np.int64), **rows})
    if not parts:
        return {SOURCE: np.empty(0, np.int64), **encoder([])}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _measured(
    images: Iterable[RGBImage],
    measurer: Measurer,
    backend: FaceBackend,
    face: FaceChoice,
    aligned: bool,
) -> Iterator[tuple[int, FaceRecord]]:
    """Every face with the number of its picture."""
    numbered = enumerate(images)
    while batch := list(itertools.islice(numbered, _PICTURES)):
        for number, image in batch:
            check_picture(image, f"picture {number}")
        if aligned:
            yield from ((number, measurer.aligned(image, {})) for number, image in batch)
            continue
        searched = search_photos([image for _, image in batch], backend)
        for (number, image), found in zip(batch, searched, strict=True):
            try:
                chosen = choose_faces(image, found.faces, face)
            except NoFaceError:
                continue
            for each in chosen:
                yield number, measurer.found(image, each, found.faces.index(each) + 1)
