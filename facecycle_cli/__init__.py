"""facecycle: facial representations from the cycle-consistency of faces.

``import facecycle_cli as fc; neutral = fc.neutralize(photo)``. Each subcommand is a function of
arrays. The names below are imported when first used: importing the package costs nothing. All that
only computes (not :func:`train` and :func:`preprocess`) may be called from many threads at once.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecycle_cli.errors import FacecycleError, NoFaceError
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions
    from facecycle_cli.evaluation.pose import evaluate_pose
    from facecycle_cli.evaluation.pose_data import load_poses
    from facecycle_cli.evaluation.probes import expression_extractor
    from facecycle_cli.evaluation.reconstruction import evaluate_reconstruction
    from facecycle_cli.faces import FaceBackend, load_backend
    from facecycle_cli.media import Provenance, read_frames, read_image, write_image
    from facecycle_cli.model import FaceCycle, load
    from facecycle_cli.portrait.crops import CropSettings, Picture, crop_faces, face_crop
    from facecycle_cli.portrait.motions import (
        FRONTAL,
        MEAN,
        NEUTRAL,
        NEUTRAL_BY_FLOW,
        REBUILT,
        PortraitMotion,
    )
    from facecycle_cli.portrait.portraits import (
        Portrait,
        paste_portraits,
        portraits,
        portraits_of_many,
    )
    from facecycle_cli.portrait.verbs import (
        frontalize,
        frontalize_crops,
        frontalize_many,
        neutralize,
        neutralize_crops,
        neutralize_many,
    )
    from facecycle_cli.preprocess.run import preprocess
    from facecycle_cli.preprocess.settings import PreprocessSettings
    from facecycle_cli.training.config import TrainConfig
    from facecycle_cli.training.train import train
    from facecycle_cli.translate.video import TranslateSettings, translate
    from facecycle_cli.verify.metrics import verification_metrics
    from facecycle_cli.verify.verify import Verdict, identity_embedding, verify, verify_many

__version__ = "0.1.0"

_HOMES = {
    "FRONTAL": "portrait.motions",
    "MEAN": "portrait.motions",
    "NEUTRAL": "portrait.motions",
    "NEUTRAL_BY_FLOW": "portrait.motions",
    "REBUILT": "portrait.motions",
    "CropSettings": "portrait.crops",
    "FaceBackend": "faces",
    "FaceCycle": "model",
    "FacecycleError": "errors",
    "NoFaceError": "errors",
    "Picture": "portrait.crops",
    "Portrait": "portrait.portraits",
    "PortraitMotion": "portrait.motions",
    "PreprocessSettings": "preprocess.settings",
    "Provenance": "media",
    "TrainConfig": "training.config",
    "TranslateSettings": "translate.video",
    "Verdict": "verify.verify",
    "crop_faces": "portrait.crops",
    "evaluate_expression": "evaluation.expression",
    "evaluate_pose": "evaluation.pose",
    "evaluate_reconstruction": "evaluation.reconstruction",
    "expression_extractor": "evaluation.probes",
    "face_crop": "portrait.crops",
    "frontalize": "portrait.verbs",
    "frontalize_crops": "portrait.verbs",
    "frontalize_many": "portrait.verbs",
    "identity_embedding": "verify.verify",
    "load": "model",
    "load_backend": "faces",
    "load_expressions": "evaluation.expression_data",
    "load_poses": "evaluation.pose_data",
    "neutralize": "portrait.verbs",
    "neutralize_crops": "portrait.verbs",
    "neutralize_many": "portrait.verbs",
    "paste_portraits": "portrait.portraits",
    "portraits": "portrait.portraits",
    "portraits_of_many": "portrait.portraits",
    "preprocess": "preprocess.run",
    "read_frames": "media",
    "read_image": "media",
    "train": "training.train",
    "translate": "translate.video",
    "verification_metrics": "verify.metrics",
    "verify": "verify.verify",
    "verify_many": "verify.verify",
    "write_image": "media",
}
"""Public name -> the module that defines it."""

__all__ = [
    "FRONTAL",
    "MEAN",
    "NEUTRAL",
    "NEUTRAL_BY_FLOW",
    "REBUILT",
    "CropSettings",
    "FaceBackend",
    "FaceCycle",
    "FacecycleError",
    "NoFaceError",
    "Picture",
    "Portrait",
    "PortraitMotion",
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
    "frontalize_many",
    "identity_embedding",
    "load",
    "load_backend",
    "load_expressions",
    "load_poses",
    "neutralize",
    "neutralize_crops",
    "neutralize_many",
    "paste_portraits",
    "portraits",
    "portraits_of_many",
    "preprocess",
    "read_frames",
    "read_image",
    "train",
    "translate",
    "verification_metrics",
    "verify",
    "verify_many",
    "write_image",
]


class _Library(ModuleType):
    """This package: public names are imported at their first use.

    ``preprocess``, ``translate`` and ``verify`` are functions here and subpackages as well. Python
    binds a subpackage to its name in the parent when it is first imported; the function keeps the
    name all the same, and ``from facecycle_cli.verify.pairs import ...`` works as ever.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *_HOMES})


sys.modules[__name__].__class__ = _Library
