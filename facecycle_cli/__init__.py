"""facecycle: facial representations from the cycle-consistency of faces.

``import facecycle_cli as fc; neutral = fc.neutralize(photo)``. Each subcommand is a function of
arrays. The names below are imported when first used: importing the package costs nothing. All that
only computes (not :func:`train` and :func:`preprocess`) may be called from many threads at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions
    from facecycle_cli.evaluation.features import expression_extractor
    from facecycle_cli.evaluation.pose import evaluate_pose
    from facecycle_cli.evaluation.pose_data import load_poses
    from facecycle_cli.evaluation.reconstruction import (
        evaluate_reconstruction,
    )
    from facecycle_cli.evaluation.verification import verification_metrics
    from facecycle_cli.faces import FaceBackend, NoFaceError, load_backend
    from facecycle_cli.media import Provenance, read_frames, read_image, write_image
    from facecycle_cli.model import FaceCycle, load
    from facecycle_cli.pipelines.crops import CropSettings, Picture, crop_faces, face_crop
    from facecycle_cli.pipelines.frontalize import frontalize, frontalize_crops
    from facecycle_cli.pipelines.neutralize import neutralize, neutralize_crops
    from facecycle_cli.pipelines.preprocess import Settings as PreprocessSettings
    from facecycle_cli.pipelines.preprocess import preprocess
    from facecycle_cli.pipelines.translate import Settings as TranslateSettings
    from facecycle_cli.pipelines.translate import translate
    from facecycle_cli.pipelines.verify import Verdict, identity_embedding, verify
    from facecycle_cli.training.config import RunConfig as TrainConfig
    from facecycle_cli.training.session import train

__version__ = "0.1.0"

_HOMES = {
    "CropSettings": "pipelines.crops",
    "FaceBackend": "faces",
    "FaceCycle": "model",
    "NoFaceError": "faces",
    "Picture": "pipelines.crops",
    "PreprocessSettings": "pipelines.preprocess.Settings",
    "Provenance": "media",
    "TrainConfig": "training.config.RunConfig",
    "TranslateSettings": "pipelines.translate.Settings",
    "Verdict": "pipelines.verify",
    "crop_faces": "pipelines.crops",
    "evaluate_expression": "evaluation.expression",
    "evaluate_pose": "evaluation.pose",
    "evaluate_reconstruction": "evaluation.reconstruction",
    "expression_extractor": "evaluation.features",
    "face_crop": "pipelines.crops",
    "frontalize": "pipelines.frontalize",
    "frontalize_crops": "pipelines.frontalize",
    "identity_embedding": "pipelines.verify",
    "load": "model",
    "load_backend": "faces",
    "load_expressions": "evaluation.expression_data",
    "load_poses": "evaluation.pose_data",
    "neutralize": "pipelines.neutralize",
    "neutralize_crops": "pipelines.neutralize",
    "preprocess": "pipelines.preprocess",
    "read_frames": "media",
    "read_image": "media",
    "train": "training.session",
    "translate": "pipelines.translate",
    "verification_metrics": "evaluation.verification",
    "verify": "pipelines.verify",
    "write_image": "media",
}
"""Name -> the module that has it, and its name there if it is another one (it is a class then)."""

__all__ = [
    "CropSettings",
    "FaceBackend",
    "FaceCycle",
    "NoFaceError",
    "Picture",
    "PreprocessSettings",
    "Provenance",
    "TrainConfig",
    "TranslateSettings",
    "Verdict",
    "crop_faces",
    "evaluate_expression",
    "evaluate_pose",
    "evaluate_reconstruction",
    "expression_extractor",
    "face_crop",
    "frontalize",
    "frontalize_crops",
    "identity_embedding",
    "load",
    "load_backend",
    "load_expressions",
    "load_poses",
    "neutralize",
    "neutralize_crops",
    "preprocess",
    "read_frames",
    "read_image",
    "train",
    "translate",
    "verification_metrics",
    "verify",
    "write_image",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, _, other = _HOMES[name].rpartition(".")
    if not other[0].isupper():
        home, other = _HOMES[name], name
    value = getattr(import_module(f"{__name__}.{home}"), other)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
