"""Networks as small as can be, and folders of crops to train them on."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facecycle_cli.faces import Alignment, load_backend
from facecycle_cli.faces.crop_landmarks import LandmarkReader
from facecycle_cli.faces.topology import MESH_468
from facecycle_cli.media import read_image
from facecycle_cli.model import FaceCycle, ModelConfig, save_checkpoint
from facecycle_cli.model.config import Extensions
from facecycle_cli.training.efficientnet import expected_shapes
from facecycle_cli.training.perceptual import CHANNELS

TINY = ModelConfig(
    preset="small",
    code_size=8,
    encoder_widths=(4, 4, 4, 4),
    encoder_features=4,
    encoder_hidden=8,
    flow_decoder_widths=(4, 4, 4),
    trunk_widths=(4, 4, 8),
    expression_decoder_width=8,
    expression_decoder_blocks=1,
    expression_decoder_upsampling_widths=(4, 4),
    identity_decoder_width=8,
    identity_decoder_blocks=1,
    identity_decoder_upsampling_widths=(4, 4),
    noise_kernel=1,
    extensions=Extensions(trunk="learned", upsampling="bilinear", padding="border"),
)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # sums are then always added in the same order
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return FaceCycle(TINY)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """What ``--init`` needs to make every run in these tests a quick one."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, FaceCycle(TINY), {"stage": "expression", "steps": 0})
    return path


def random_vgg(divisor: int) -> dict[str, torch.Tensor]:
    """VGG-19's layers, narrower by ``divisor``, with weights that keep features alive."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    for number, (inputs, outputs) in CHANNELS.items():
        inputs = inputs if number == 0 else inputs // divisor
        outputs = outputs // divisor
        scale = (2 / (9 * inputs)) ** 0.5
        weight = torch.randn(outputs, inputs, 3, 3, generator=generator) * scale
        state[f"features.{number}.weight"] = weight
        state[f"features.{number}.bias"] = torch.full((outputs,), 0.01)
    return state


@pytest.fixture(scope="session")
def vgg_state():
    """VGG-19's layers as they are, with random weights."""
    return random_vgg(1)


@pytest.fixture(scope="session")
def narrow_vgg_state():
    """The same layers with a sixteenth of the channels: fast in every precision."""
    return random_vgg(16)


@pytest.fixture(scope="session")
def lite_state():
    """The first layers of EfficientNet-Lite0, with random weights."""
    generator = torch.Generator().manual_seed(2)
    state = {}
    for name, shape in expected_shapes().items():
        value = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            value *= (2 / value[0].numel()) ** 0.5
        elif name.endswith(("running_var", "weight")):
            value = 0.5 + value.abs()
        state[name] = value
    return state


def face(seed: int, size: int = 80) -> np.ndarray:
    """(size, size, 3) uint8: a smooth picture, another one for every seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(30, 220, (6, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def jpeg(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(face(seed)).save(stream, "jpeg", quality=90)
    return stream.getvalue()


def crop_line(path: str, **quality: float) -> str:
    """A line of preprocess's index."""
    return json.dumps({"path": path, "sharpness": 100.0, "yaw": 0.0, **quality}) + "\n"


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_clip(folder: Path, frames: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for i in range(frames):
        (folder / f"{i:06d}.jpg").write_bytes(jpeg(100 * seed + i))


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> Path:
    """Six clips of five frames, two of two: ``id0/v/00000/000000.jpg`` ..."""
    root = tmp_path_factory.mktemp("crops")
    for number in range(8):
        write_clip(root / f"id{number}" / "v" / "00000", 5 if number < 6 else 2, number)
    return root


@pytest.fixture
def write_shard():
    """Writes samples ``{key: {suffix: bytes}}`` as webdataset does."""

    def write(path: Path, samples: dict[str, dict[str, bytes]]) -> None:
        with tarfile.open(path, "w") as tar:
            for key, parts in samples.items():
                for suffix, data in parts.items():
                    member = tarfile.TarInfo(f"{key}.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))

    return write


@pytest.fixture(scope="session")
def face_crops(examples):
    """Aligned crops of one person, neutral and smiling: (2, 80, 80, 3)."""
    pictures = [
        read_image(examples / "faces" / f"person2_{look}.jpg") for look in ("neutral", "smiling")
    ]
    found = load_backend().detect(pictures)
    return [
        Alignment.from_face(faces[0], 80).crop(picture)
        for picture, faces in zip(pictures, found, strict=True)
    ]


@pytest.fixture(scope="session")
def face_landmarks(face_crops):
    read = LandmarkReader()
    return [read(crop) for crop in face_crops]


def people(landmarks, persons=60, each=8):
    """Groups of faces that differ in build between persons and in one expression within them."""
    neutral, smile = (face.astype(np.float64) for face in landmarks)
    neutral[14] = neutral[13] + [0, 0.002, 0]  # lips that touch
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(persons):
        build = 1 + rng.normal(0, 0.04, (1, 3))
        amounts = np.abs(rng.normal(0, 0.5, each)) * (np.arange(each) > 1)
        groups.append(
            np.stack(
                [
                    (neutral + a * (smile - neutral)) * build
                    + rng.normal(0, 2e-4, (MESH_468.count, 3))
                    for a in amounts
                ]
            )
        )
    return groups
