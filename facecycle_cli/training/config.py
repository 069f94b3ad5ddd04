"""Everything that decides a training run, in one frozen record.

A run has settings of its own (:class:`TrainConfig`) and a table for each stage
(:class:`StageConfig`). They come in layers, the later ones winning: the preset's defaults, the
TOML file, the command line. In every layer a stage's setting may stand at the top, where it means
both stages, or in the stage's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from facecycle_cli.errors import SettingsError
from facecycle_cli.model.config import IMAGE_SIZES, PRESETS
from facecycle_cli.training.augment import Augmentation
from facecycle_cli.training.layers import build, merge
from facecycle_cli.training.presets import PRESET_SETTINGS
from facecycle_cli.training.stages import STAGES, LossWeights

TRANSFORMS = ("other-frames", "flip", "mixed")
PRECISIONS = ("off", "auto", "bf16", "fp16")


@dataclass(frozen=True)
class StageConfig:
    """How one stage learns.

    Attributes:
        steps: optimizer steps; used if ``epochs`` is 0.
        epochs: passes over the data, each of one pair per clip (paper, supplementary code).
        batch_size: faces per step over all processes; half as many pairs.
        lr: highest learning rate of Adam.
        beta1: Adam's first beta.
        beta2: Adam's second beta (paper: .999 for expression, .9 for identity).
        warmup: steps over which the learning rate rises linearly.
        schedule: ``cosine``, ``constant``, or ``paper`` (steps at fixed epochs).
        ema: decay of the weights' moving average, which is what is saved; 0 for none.
        flow_steps: first steps of a guided expression stage: the flows learn from landmarks
            alone and nothing is drawn: faster, and pictures do not hold the flows at rest.
        code_steps: first steps of an identity stage with ``contrast``: the codes learn by contrast
            alone and nothing is drawn: faster, and batches may be as large as contrast wants them.
        frozen: networks of the stage that do not learn, ``identity_encoder`` for example.
        clip: largest norm of the gradient; 0 for no clipping.
        augmentation: strengths.
        weights: of the losses.
    """

    steps: int = 3000
    epochs: int = 0
    batch_size: int = 32
    lr: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    warmup: int = 0
    schedule: str = "cosine"
    ema: float = 0.0
    flow_steps: int = 0
    code_steps: int = 0
    frozen: tuple[str, ...] = ()
    clip: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        _one_of("schedule", self.schedule, ("cosine", "constant", "paper"))
        _at_least("epochs", self.epochs, 0)
        _at_least("steps", self.steps, 1)
        _at_least("warmup", self.warmup, 0)
        _at_least("flow_steps", self.flow_steps, 0)
        _at_least("code_steps", self.code_steps, 0)
        if self.batch_size < 2 or self.batch_size % 2:
            raise SettingsError(f"batch_size must be even and at least 2, not {self.batch_size}")
        if not self.lr > 0:
            raise SettingsError(f"lr must be above 0, not {self.lr}")
        for name in ("beta1", "beta2", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"{name} must be from 0 to below 1, not {getattr(self, name)}")
        _at_least("clip", self.clip, 0)

    @property
    def pairs(self) -> int:
        """Pairs per step, over all processes."""
        return self.batch_size // 2

    @property
    def contrast_steps(self) -> int:
        """First steps of an identity stage that draw nothing: none without a contrast."""
        return self.code_steps if self.weights.contrast else 0


@dataclass(frozen=True)
class TrainConfig:
    """One run: its data, its model and its two stages.

    Attributes:
        data: folders of crops, folders of pictures, webdataset shards.
        singles: names of folders (``stills``, ``stills/utk``) in which every picture shows another
            person.
        min_sharpness: crops below it are left out, by the index that preprocess writes; 0 keeps
            all.
        max_yaw: crops turned further to either side, in degrees, are left out; 180 keeps all.
        stage: ``both``, ``expression`` or ``identity``.
        preset: the networks.
        image_size: 64 or 128.
        init: a checkpoint to start from, or nothing.
        transform: where a face's second view comes from: ``other-frames`` of its clip, its
            ``flip``, or ``mixed``.
        flip_share: with ``mixed``, how often a clip with other frames is mirrored all the same.
        group_share: with ``mixed``, share of the pairs from clips with other frames; -1 draws all
            clips equally often.
        holdout: clips that are kept from training to tell which checkpoint is best; never more than
            a twentieth of all.
        perceptual: ``auto``, ``off``, ``vgg`` or a file with VGG-19's weights.
        trunk: what preset paper's frozen trunk starts from: ``vgg19``, or ``random``.
        amp: mixed precision: ``off``, ``auto`` (bf16 if the GPU has it, else fp16), ``bf16`` or
            ``fp16``.
        compile: whether the step is compiled by torch.compile.
        workers: threads that read and decode ahead; 0 reads in the training thread, -1 decides.
        cache: where decoded crops stay: ``ram``, ``disk`` (nowhere: they are decoded again) or
            ``auto``.
        seed: of everything random.
        log_every: steps per line of the log.
        sample_every: steps between sample grids and looks at the held-out clips.
        save_every: seconds between saves of what a resume needs.
        license: goes into the checkpoint.
        expression: settings of the expression stage.
        identity: settings of the identity stage.
    """

    data: tuple[str, ...] = ()
    singles: tuple[str, ...] = ()
    min_sharpness: float = 0.0
    max_yaw: float = 180.0
    stage: str = "both"
    preset: str = "small"
    image_size: int = 64
    init: str = ""
    transform: str = "mixed"
    flip_share: float = 0.5
    group_share: float = -1.0
    holdout: int = 64
    perceptual: str = "auto"
    trunk: str = "vgg19"
    amp: str = "off"
    compile: bool = False
    workers: int = -1
    cache: str = "auto"
    seed: int = 0
    log_every: int = 10
    sample_every: int = 500
    save_every: float = 120.0
    license: str = "not stated: the terms of the training data apply"
    expression: StageConfig = field(default_factory=StageConfig)
    identity: StageConfig = field(default_factory=StageConfig)

    def __post_init__(self) -> None:
        _one_of("stage", self.stage, ("both", *STAGES))
        _one_of("preset", self.preset, tuple(PRESETS))
        _one_of("image_size", self.image_size, IMAGE_SIZES)
        _one_of("transform", self.transform, TRANSFORMS)
        _one_of("trunk", self.trunk, ("vgg19", "random"))
        _one_of("amp", self.amp, PRECISIONS)
        _one_of("cache", self.cache, ("auto", "ram", "disk"))
        for stage, losses in STAGES.items():
            losses.check_frozen(self.of(stage).frozen)
        for name in ("log_every", "sample_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("seed", "holdout", "save_every", "min_sharpness", "max_yaw"):
            _at_least(name, getattr(self, name), 0)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages to train, in order."""
        return tuple(STAGES) if self.stage == "both" else (self.stage,)

    @property
    def draws(self) -> bool:
        """Whether any step draws a picture: identity codes can learn alone to the end."""
        codes = self.identity
        return self.stage != "identity" or codes.epochs > 0 or codes.contrast_steps < codes.steps

    def of(self, stage: str) -> StageConfig:
        """The settings of ``stage``."""
        return getattr(self, stage)

    def to_dict(self) -> dict[str, Any]:
        """JSON- and TOML-able; :meth:`from_layers` makes the same record of it."""
        return asdict(self)

    @classmethod
    def from_layers(cls, *layers: Mapping[str, Any], preset: str = "small") -> TrainConfig:
        """Build from dictionaries, the later ones winning, over the defaults of their preset.

        Args:
            layers: as :meth:`to_dict` gives them, or parts of it.
            preset: if no layer names one.

        Raises:
            SettingsError: an unknown key, a value of the wrong kind or out of range.
        """
        for layer in layers:
            preset = layer.get("preset", preset)
        _one_of("preset", preset, tuple(PRESETS))
        merged: dict[str, Any] = {"preset": preset}
        for layer in (PRESET_SETTINGS[preset], *layers):
            merge(merged, _spread(layer))
        return build(cls, merged)


def _spread(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The layer with what stands at the top for both stages moved into their tables."""
    shared = {f.name for f in fields(StageConfig)}
    common = {key: value for key, value in layer.items() if key in shared}
    result: dict[str, Any] = {key: value for key, value in layer.items() if key not in shared}
    for stage in STAGES:
        own = layer.get(stage, {})
        if not isinstance(own, Mapping):
            raise SettingsError(f"{stage} is a table of settings")
        table: dict[str, Any] = {}
        for part in (common, own):
            if part.get("steps") is not None and part.get("epochs", 0) == 0:
                part = {**part, "epochs": 0}  # steps win over a lower layer's epochs
            merge(table, part)
        result[stage] = table
    return result


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        allowed = " or ".join((", ".join(map(str, choices[:-1])), str(choices[-1])))
        raise SettingsError(f"{name} must be {allowed}, not {value!r}")


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise SettingsError(f"{name} must be at least {least}, not {value}")
