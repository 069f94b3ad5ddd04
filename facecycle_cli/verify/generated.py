"""Generated faces against their originals (supplementary, section 5): are they the same person?

What is generated is what the commands make: ``frontalize``, ``neutralize`` or ``translate`` with
their default options, from the photograph. What they make is then compared as ``verify A B``
compares files: the face is found, aligned and embedded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facecycle_cli.errors import DataError, FaceError, MediaError
from facecycle_cli.faces import FaceBackend
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle
from facecycle_cli.portrait.crops import (
    CropResult,
    CropSettings,
    FaceCrop,
    Picture,
    crop_faces,
    face_crop,
    resize_crops,
)
from facecycle_cli.portrait.motions import FRONTAL, NEUTRAL, MovedFace, PortraitMotion, re_expressed
from facecycle_cli.portrait.portraits import move_crops, portraits
from facecycle_cli.translate.video import translate_picture
from facecycle_cli.types import Against, RGBImage
from facecycle_cli.verify.features import cosine, extract_features
from facecycle_cli.verify.metrics import VerificationMetrics, verification_metrics
from facecycle_cli.verify.pairs import Pair
from facecycle_cli.verify.verify import identity_embedding

__all__ = [
    "COMPARISONS",
    "AgainstResult",
    "AgainstSettings",
    "GeneratedExample",
    "generate",
    "generate_crops",
    "verify_against",
]

COMPARISONS = {
    "originals": "two photographs",
    "generated": "photograph and its own {}d face",
    "across": "photograph and another one's {}d face",
}
"""The three comparisons of :func:`verify_against`, in words; ``{}`` is the command's name."""

_MOTIONS: Mapping[Against, PortraitMotion] = {"frontalize": FRONTAL, "neutralize": NEUTRAL}
_EXAMPLES = 8
_EXAMPLE_SIDE = 128  # pixels
_CROP_BATCH = 32


def generate(
    photo: RGBImage,
    against: Against,
    *,
    model: FaceCycle,
    backend: FaceBackend,
    source: RGBImage | None = None,
) -> RGBImage:
    """The picture that a command makes of a photograph, with its default options.

    Args:
        photo: (H, W, 3) uint8 RGB.
        against: the command.
        model: the networks.
        backend: finds the faces.
        source: for ``translate``, the photograph whose motion is taken.

    Returns:
        (256, 256, 3) uint8.

    Raises:
        NoFaceError: there is no face in ``photo`` or in ``source``.
        DataError: ``translate`` without a source.
    """
    if against in _MOTIONS:
        (portrait,) = portraits(photo, _MOTIONS[against], model=model, backend=backend)
        return portrait.result
    if source is None:
        raise DataError("translate needs a photograph to take the motion from")
    return translate_picture(source, photo, model=model, backend=backend)


def generate_crops(
    model: FaceCycle,
    crops: NDArray[np.uint8],
    against: Against,
    sources: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The same for aligned crops, whose photographs and landmarks are not known.

    The crops are moved by the networks' flow alone, at their own resolution; ``translate`` is the
    paper's: the neutral face with the backflow of the source.

    Args:
        model: the networks.
        crops: uint8 (N, H, H, 3).
        against: the command.
        sources: for ``translate``, (N, H, H, 3), the faces whose motion each one takes.

    Returns:
        uint8 (N, H, H, 3).

    Raises:
        DataError: ``translate`` without sources.
    """
    if against in _MOTIONS:
        return move_crops(model, crops, _MOTIONS[against])[0]
    if sources is None:
        raise DataError("translate needs faces to take the motions from")
    with torch.inference_mode():
        moving = model.to_input(resize_crops(sources, model.config.image_size))
        backflow = model.decode_flow(model.encode_expression(moving)).backflow

    def translated(model: FaceCycle, x: torch.Tensor) -> MovedFace:
        return re_expressed(model, NEUTRAL.move(model, x), backflow)

    return move_crops(
        model, crops, PortraitMotion("translated face", translated, turns_to_front=False)
    )[0]


@dataclass(frozen=True)
class AgainstSettings:
    """What :func:`verify_against` is to measure.

    Attributes:
        against: the command that generates.
        aligned: the pictures are aligned crops, not photographs: :func:`generate_crops`.
        threshold: a fixed threshold to report on as well.
        seed: random seed of folds, and of whose motion ``translate`` gives to whom.
    """

    against: Against
    aligned: bool = False
    threshold: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class GeneratedExample:
    """One face of a report's contact sheet.

    Attributes:
        original: the crop of the photograph, (128, 128, 3) uint8.
        generated: what was made of it, (128, 128, 3) uint8.
        similarity: cosine of the two.
    """

    original: RGBImage
    generated: RGBImage
    similarity: float


@dataclass(frozen=True)
class AgainstResult:
    """How well generated faces verify as their originals.

    Attributes:
        against: the command that generated.
        pairs: how many pairs were compared.
        skipped: how many were not.
        problems: (name, reason) of each picture that could not be used, or whose generated picture
            could not.
        originals: of two photographs.
        generated: of a photograph and its own generated face.
        across: of a photograph and another one's generated face.
        examples: up to eight.
    """

    against: Against
    pairs: int
    skipped: int
    problems: list[tuple[str, Exception]]
    originals: VerificationMetrics
    generated: VerificationMetrics
    across: VerificationMetrics
    examples: list[GeneratedExample]

    def to_json(self) -> dict[str, Any]:
        """The numbers; the three accuracies come first."""
        return {
            "against": self.against,
            "pairs": self.pairs,
            "accuracy": self.generated.accuracy,
            "accuracy_originals": self.originals.accuracy,
            "accuracy_across": self.across.accuracy,
            "skipped": self.skipped,
            "originals": self.originals.to_json(),
            "generated": self.generated.to_json(),
            "across": self.across.to_json(),
        }


def verify_against(
    pairs: Sequence[Pair],
    settings: AgainstSettings,
    model: FaceCycle,
    backend: FaceBackend,
    *,
    on_done: Callable[[CropResult], None] | None = None,
) -> AgainstResult:
    """Verify generated faces against originals.

    With G(a) the generated face of picture a, and pairs (a, b) of the same and of different people:

    - ``originals``: (a, b), for comparison;
    - ``generated``: (a, G(a)) as the same person, (a, G(b)) as different ones: the supplementary's
      1000 pairs of original and generated faces;
    - ``across``: (a, G(b)) for both kinds: as ``originals``, one photograph replaced.

    Args:
        pairs: labeled, as :func:`~facecycle_cli.verify.pairs.sample_pairs` gives them.
        settings: what to measure.
        model: the networks.
        backend: finds the faces.
        on_done: called for every photograph and for every generated picture.

    Raises:
        DataError: no pair can be used.
        EvaluationError: the usable pairs are all of one kind.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in (pair.a, pair.b)))
    gallery = _Gallery(settings, model, backend, on_done)
    originals = gallery.originals(names)
    generated = gallery.generated([name for name in names if name in originals])
    used = [pair for pair in pairs if pair.a in generated and pair.b in generated]
    if not used:
        raise DataError("none of the pairs could be compared")
    same = np.array([bool(pair.same) for pair in used])
    folds = [pair.fold for pair in used if pair.fold is not None]

    def metrics(left: Iterable[NDArray[Any]], right: Iterable[NDArray[Any]]) -> VerificationMetrics:
        return verification_metrics(
            cosine(np.stack(list(left)), np.stack(list(right))),
            same,
            folds=folds if len(folds) == len(used) else None,
            threshold=settings.threshold,
            seed=settings.seed,
        )

    def own(pair: Pair) -> str:
        return pair.a if pair.same else pair.b

    return AgainstResult(
        against=settings.against,
        pairs=len(used),
        skipped=len(pairs) - len(used),
        problems=gallery.problems,
        originals=metrics((originals[p.a] for p in used), (originals[p.b] for p in used)),
        generated=metrics((originals[p.a] for p in used), (generated[own(p)] for p in used)),
        across=metrics((originals[p.a] for p in used), (generated[p.b] for p in used)),
        examples=gallery.examples(originals, generated),
    )


class _Gallery:
    """Pictures, what is generated from them, and the embeddings (D,) of both, by name.

    Attributes:
        problems: (name, reason) of each picture that could not be used.
    """

    def __init__(
        self,
        settings: AgainstSettings,
        model: FaceCycle,
        backend: FaceBackend,
        on_done: Callable[[CropResult], None] | None,
    ) -> None:
        self.problems: list[tuple[str, Exception]] = []
        self._settings, self._model, self._backend = settings, model, backend
        self._on_done = on_done
        self._shown: dict[str, RGBImage] = {}

    def originals(self, names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Embeddings of the pictures."""
        return self._embed(self._crops(Picture.file(name) for name in names))

    def generated(self, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Embeddings of what is generated from the pictures."""
        # Everybody takes the motion of the next one in a random circle: never their own.
        order = np.random.default_rng((self._settings.seed, 1)).permutation(len(names))
        next_one = {names[order[i]]: names[order[i - 1]] for i in range(len(names))}
        source_of = {name: next_one[name] for name in names}
        crops: Iterator[CropResult]
        if self._settings.aligned:
            crops = self._from_crops(source_of)
        else:
            crops = self._crops(self._from_photographs(source_of))
        return self._embed(crops, note=f", {self._settings.against}d")

    def examples(
        self,
        originals: Mapping[str, NDArray[np.float32]],
        generated: Mapping[str, NDArray[np.float32]],
    ) -> list[GeneratedExample]:
        """The first few, with the similarities of their embeddings."""
        return [
            GeneratedExample(
                self._crop(name, _EXAMPLE_SIDE),
                resize_crops(picture[None], _EXAMPLE_SIDE)[0],
                float(cosine(originals[name][None], generated[name][None])[0]),
            )
            for name, picture in self._shown.items()
            if name in generated
        ]

    def _embed(self, crops: Iterable[CropResult], note: str = "") -> dict[str, NDArray[np.float32]]:
        names: list[str] = []

        def named() -> Iterator[CropResult]:
            for face in crops:
                names.append(face.name)
                yield face

        extractors = {"identity": partial(identity_embedding, self._model)}
        found = extract_features(named(), extractors, on_done=self._on_done)
        self.problems += [(names[i] + note, error) for i, error in found.problems.items()]
        rows = zip(names, found.rows, strict=True)
        return {name: found.features["identity"][row] for name, row in rows if row >= 0}

    def _crops(self, pictures: Iterable[Picture]) -> Iterator[CropResult]:
        side = self._model.verifier.side
        settings = CropSettings(side, aligned=self._settings.aligned)
        return crop_faces(pictures, settings, self._backend)

    def _crop(self, name: str, side: int) -> RGBImage:
        settings = CropSettings(side, aligned=self._settings.aligned)
        return face_crop(read_image(name), settings, self._backend)

    def _show(self, name: str, picture: RGBImage) -> None:
        if len(self._shown) < _EXAMPLES:
            self._shown[name] = picture

    def _from_photographs(self, source_of: Mapping[str, str]) -> Iterator[Picture]:
        """What the command makes of each photograph; what it refuses is a problem."""
        against = self._settings.against
        for name, source in source_of.items():
            try:
                picture = generate(
                    read_image(name),
                    against,
                    model=self._model,
                    backend=self._backend,
                    source=read_image(source) if against == "translate" else None,
                )
            except (FaceError, MediaError, OSError) as error:
                self.problems.append((f"{name}, {against}d", error))
                continue
            self._show(name, picture)
            yield Picture(name, picture)

    def _from_crops(self, source_of: Mapping[str, str]) -> Iterator[FaceCrop]:
        side = 2 * self._model.config.image_size
        against = self._settings.against
        items = iter(source_of.items())
        while batch := list(itertools.islice(items, _CROP_BATCH)):
            crops = np.stack([self._crop(name, side) for name, _ in batch])
            sources = None
            if against == "translate":
                sources = np.stack([self._crop(source, side) for _, source in batch])
            made = generate_crops(self._model, crops, against, sources)
            for (name, _), picture in zip(batch, made, strict=True):
                self._show(name, picture)
                yield FaceCrop(name, picture)
