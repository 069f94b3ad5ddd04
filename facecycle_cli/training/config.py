"""All settings of a training run, in one frozen record.

A run has settings of its own (:class:`TrainConfig`) and a table for each stage
(:class:`StageConfig`). Settings come in layers, and later layers win: the preset's defaults, the
TOML file, the command line. A stage's setting at the top of a layer is meant for both stages; in
the stage's own table it is meant for this stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from facecycle_cli.errors import SettingsError
from facecycle_cli.model.config import IMAGE_SIZES
from facecycle_cli.training.augment import Augmentation
from facecycle_cli.training.layers import build_record, merge_layers
from facecycle_cli.training.presets import PRESET_SETTINGS
from facecycle_cli.types import Cache, OnDivergence, PresetName, StageChoice, Transform

StageName: TypeAlias = Literal["expression", "identity"]
"""The stages of training."""

Schedule: TypeAlias = Literal["cosine", "constant", "paper"]
"""How the learning rate falls."""

Precision: TypeAlias = Literal["off", "auto", "bf16", "fp16"]
"""Number format of the networks during training."""

STAGE_NETWORKS: dict[StageName, tuple[str, ...]] = {
    "expression": ("trunk", "expression_encoder", "flow_decoder", "expression_decoder"),
    "identity": ("identity_encoder", "identity_decoder"),
}
"""The stages in their order, and the networks that each of them trains (paper, section 3)."""


@dataclass(frozen=True)
class LossWeights:
    """The factor of each loss in the sum that is minimized.

    The defaults are the paper's. What is 0 by default is not in the paper.

    Attributes:
        pixel: L1 distance of the reconstructions.
        perceptual: distance of Gram matrices of VGG-19's or EfficientNet-Lite0's features.
        ssim: structural dissimilarity of the reconstructions.
        symmetry: difference between the halves of the neutral face.
        margin: distance of the mean face from the neutral faces, beyond a margin.
        smoothness: second differences of the flows.
        folding: flows that fold the picture.
        gauge: shift, scale and shear of the mean flow.
        guide: distance of the flows from what landmarks ask for, see :mod:`.guidance`.
        contrast: identity codes that do not tell the persons of a batch apart.
        average: distance of every de-identified face from the average neutral face. The paper asks
            nothing of a single de-identified face, only of their mean.
    """

    pixel: float = 1.0
    perceptual: float = 0.01
    ssim: float = 5.0
    symmetry: float = 1.5
    margin: float = 1.0
    smoothness: float = 0.0
    folding: float = 0.0
    gauge: float = 0.0
    guide: float = 0.0
    contrast: float = 0.0
    average: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _at_least(name, value, 0)


@dataclass(frozen=True)
class StageOptions:
    """How pictures are rebuilt and compared: fractions from 0 to 1, the paper's by default.

    Attributes:
        focus: how much pixel and SSIM losses look at the face only; at 0 all pixels count the same.
        exchange: share of the pairs whose views are exchanged: each view is rebuilt from the
            neutral face of the other one (paper: 1). The rest are rebuilt from their own.
        relight: how much an exchanged neutral face takes on the colors (mean and spread) of the
            face that is rebuilt from it. No flow can know these colors.
        features: how much more the landmarks of eyebrows, lids and lips guide the flows than the
            others: at 1 each counts five times as much. They are a sixth of all landmarks, and hold
            most of an expression.
        reenact: while identity codes learn alone, the share of the pictures that are warped to the
            motion of another pair's face. A single photograph is then seen in many poses.
    """

    focus: float = 0.0
    exchange: float = 1.0
    relight: float = 0.0
    features: float = 0.0
    reenact: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise SettingsError(f"{name} must be from 0 to 1, not {value}")


@dataclass(frozen=True)
class StageConfig:
    """How one stage learns.

    Attributes:
        steps: optimizer steps; used if ``epochs`` is 0.
        epochs: passes over the data, with one pair per clip (paper, supplementary code).
        batch_size: faces per step over all processes; there are half as many pairs.
        lr: highest learning rate of Adam.
        beta1: Adam's first beta.
        beta2: Adam's second beta (paper: .999 for expression, .9 for identity).
        warmup: steps in which the learning rate rises linearly.
        schedule: ``cosine``, ``constant``, or ``paper`` (steps at fixed epochs).
        ema: decay of the moving average of the weights, which is what is saved; 0 for no average.
        flow_steps: first steps of an expression stage with landmarks: only the flows learn, from
            the landmarks alone. These steps draw no picture, which makes them fast and keeps the
            pictures from holding the flows at rest.
        code_steps: first steps of an identity stage with ``contrast``: only the codes learn, by
            contrast alone. These steps draw no picture either, so that batches may be large.
        frozen: networks of the stage that do not learn, ``identity_encoder`` for example.
        clip: largest norm of the gradient; 0 for no clipping.
        augmentation: strengths.
        weights: of the losses.
        options: how pictures are rebuilt and compared.
    """

    steps: int = 3000
    epochs: int = 0
    batch_size: int = 32
    lr: float = 1e-4
    beta1: float = 0.5
    beta2: float = 0.999
    warmup: int = 0
    schedule: Schedule = "cosine"
    ema: float = 0.0
    flow_steps: int = 0
    code_steps: int = 0
    frozen: tuple[str, ...] = ()
    clip: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    weights: LossWeights = field(default_factory=LossWeights)
    options: StageOptions = field(default_factory=StageOptions)

    def __post_init__(self) -> None:
        _check_choices(self)
        _at_least("epochs", self.epochs, 0)
        _at_least("steps", self.steps, 1)
        _at_least("warmup", self.warmup, 0)
        _at_least("flow_steps", self.flow_steps, 0)
        _at_least("code_steps", self.code_steps, 0)
        if self.batch_size < 2 or self.batch_size % 2:
            raise SettingsError(f"batch_size must be even and at least 2, not {self.batch_size}")
        if not self.lr > 0:
            raise SettingsError(f"lr must be above 0, not {self.lr}")
        for name, value in (("beta1", self.beta1), ("beta2", self.beta2), ("ema", self.ema)):
            if not 0 <= value < 1:
                raise SettingsError(f"{name} must be from 0 to below 1, not {value}")
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
        neutral: folders or shards in which people show a neutral face and posed expressions, told
            by the names of the pictures (see :mod:`.media.posed`): the neutral shape of the guide
            is fitted to them. They are not trained on unless ``data`` names them, too.
        min_sharpness: crops below it are left out, by the index that preprocess writes; 0 keeps
            all.
        max_yaw: crops turned further to either side, in degrees, are left out; 180 keeps all.
        stage: ``both``, ``expression`` or ``identity``.
        preset: the networks.
        image_size: side of the faces in pixels, 64 or 128.
        init: a checkpoint to start from, or the empty text.
        transform: where a face's second view comes from: ``other-frames`` of its clip, its
            ``flip``, or ``mixed``.
        flip_share: with ``mixed``, how often a clip with other frames is mirrored all the same.
        group_share: with ``mixed``, share of the pairs from clips with other frames; -1 draws all
            clips equally often.
        holdout: clips that are kept from training to tell which checkpoint is best; never more than
            a twentieth of all.
        perceptual: ``auto``, ``off``, ``vgg``, ``efficientnet-lite0`` or a file with VGG-19's
            weights.
        trunk: what preset paper's frozen trunk starts from: ``vgg19``, or ``random``.
        amp: mixed precision: ``off``, ``auto`` (bf16 if the device has it, else fp16), ``bf16`` or
            ``fp16``.
        compile: whether torch.compile compiles the step.
        workers: threads that read and decode in advance; 0 reads in the training thread, -1
            decides by the number of cores.
        cache: where decoded crops stay: ``device`` (in the memory of the device that trains),
            ``ram``, ``disk`` (nowhere: they are decoded again) or ``auto`` (the first of them with
            room; ``device`` on CUDA only).
        seed: of everything random.
        log_every: steps per line of the log.
        sample_every: steps between two measurements of the held-out clips, with a sample grid.
        save_every: seconds between saves of what a resume needs.
        on_divergence: what to do if the run does not learn (see :mod:`.watch`): ``warn``, or
            ``stop``, with the best checkpoint kept.
        license: goes into the checkpoint.
        expression: settings of the expression stage.
        identity: settings of the identity stage.
    """

    data: tuple[str, ...] = ()
    singles: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    min_sharpness: float = 0.0
    max_yaw: float = 180.0
    stage: StageChoice = "both"
    preset: PresetName = "small"
    image_size: int = 64
    init: str = ""
    transform: Transform = "mixed"
    flip_share: float = 0.5
    group_share: float = -1.0
    holdout: int = 64
    perceptual: str = "auto"
    trunk: Literal["vgg19", "random"] = "vgg19"
    amp: Precision = "off"
    compile: bool = False
    workers: int = -1
    cache: Cache = "auto"
    seed: int = 0
    log_every: int = 10
    sample_every: int = 500
    save_every: float = 120.0
    on_divergence: OnDivergence = "warn"
    license: str = "not stated: the terms of the training data apply"
    expression: StageConfig = field(default_factory=StageConfig)
    identity: StageConfig = field(default_factory=StageConfig)

    def __post_init__(self) -> None:
        _check_choices(self)
        _one_of("image_size", self.image_size, IMAGE_SIZES)
        for stage, networks in STAGE_NETWORKS.items():
            check_frozen(self.of(stage).frozen, networks)
        _at_least("log_every", self.log_every, 1)
        _at_least("sample_every", self.sample_every, 1)
        _at_least("seed", self.seed, 0)
        _at_least("holdout", self.holdout, 0)
        _at_least("save_every", self.save_every, 0)
        _at_least("min_sharpness", self.min_sharpness, 0)
        _at_least("max_yaw", self.max_yaw, 0)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The stages to train, in order."""
        return tuple(STAGE_NETWORKS) if self.stage == "both" else (self.stage,)

    @property
    def draws(self) -> bool:
        """Whether any step draws a picture: a run may learn nothing but identity codes."""
        codes = self.identity
        return self.stage != "identity" or codes.epochs > 0 or codes.contrast_steps < codes.steps

    def of(self, stage: StageName) -> StageConfig:
        """The settings of ``stage``."""
        return {"expression": self.expression, "identity": self.identity}[stage]

    def to_dict(self) -> dict[str, Any]:
        """JSON- and TOML-able; :meth:`from_layers` makes the same record of it."""
        return asdict(self)

    @classmethod
    def from_layers(cls, *layers: Mapping[str, Any], preset: str = "small") -> TrainConfig:
        """Build from dictionaries over the defaults of their preset; later ones win.

        Args:
            layers: as :meth:`to_dict` gives them, or parts of it.
            preset: used if no layer names one.

        Raises:
            SettingsError: an unknown key, a value of the wrong kind or out of range.
        """
        for layer in layers:
            preset = layer.get("preset", preset)
        _one_of("preset", preset, get_args(PresetName))
        merged: dict[str, Any] = {"preset": preset}
        for layer in (PRESET_SETTINGS[preset], *layers):
            merge_layers(merged, _spread(layer))
        return build_record(cls, merged)


def check_frozen(frozen: Iterable[str], networks: Iterable[str]) -> None:
    """Check that a stage with these ``networks`` still trains one when ``frozen`` do not learn.

    Raises:
        SettingsError: ``frozen`` names another network, or all of them.
    """
    if not set(frozen) < set(networks):
        raise SettingsError(f"frozen must leave out at least one of {', '.join(networks)}")


def _spread(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The layer with the settings for both stages moved from its top into the stages' tables."""
    shared = {f.name for f in fields(StageConfig)}
    common = {key: value for key, value in layer.items() if key in shared}
    result: dict[str, Any] = {key: value for key, value in layer.items() if key not in shared}
    for stage in STAGE_NETWORKS:
        own = layer.get(stage, {})
        if not isinstance(own, Mapping):
            raise SettingsError(f"{stage} is a table of settings")
        table: dict[str, Any] = {}
        for part in (common, own):
            if part.get("steps") is not None and part.get("epochs", 0) == 0:
                part = {**part, "epochs": 0}  # steps win over a lower layer's epochs
            merge_layers(table, part)
        result[stage] = table
    return result


def _check_choices(config: StageConfig | TrainConfig) -> None:
    """Check the fields whose type is a ``Literal``."""
    for name, hint in get_type_hints(type(config)).items():
        if get_origin(hint) is Literal:
            _one_of(name, vars(config)[name], get_args(hint))


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        allowed = " or ".join((", ".join(map(str, choices[:-1])), str(choices[-1])))
        raise SettingsError(f"{name} must be {allowed}, not {value!r}")


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise SettingsError(f"{name} must be at least {least}, not {value}")
