"""facecycle: facial representations from the cycle-consistency of faces.

``import facecycle_cli as fc; neutral = fc.neutralize(fc.read_image("photo.jpg"))``. Each command is
also a function of arrays. Pictures are (H, W, 3) uint8, RGB; whatever goes wrong on purpose is a
:class:`FacecycleError`.

A name is imported when it is first used: ``import facecycle_cli`` itself imports neither torch nor
OpenCV. All functions but :func:`train` and :func:`preprocess` may be called from many threads at
once.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecycle_cli.encode.encode import encode
    from facecycle_cli.errors import FacecycleError, NoFaceError
    from facecycle_cli.evaluation.expression import evaluate_expression
    from facecycle_cli.evaluation.expression_data import load_expressions
    from facecycle_cli.evaluation.pose import evaluate_pose
    from facecycle_cli.evaluation.pose_data import load_poses
    from facecycle_cli.evaluation.probes import expression_extractor
    from facecycle_cli.evaluation.reconstruction import evaluate_reconstruction
    from facecycle_cli.evaluation.reenactment import Reenactment, evaluate_reenactment
    from facecycle_cli.faces import FaceBackend, load_backend
    from facecycle_cli.media import Provenance, read_frames, read_image, write_image
    from facecycle_cli.model import FaceCycle, load
    from facecycle_cli.portrait.crops import (
        CropSettings,
        FaceCrop,
        FailedCrop,
        Picture,
        crop_faces,
        face_crop,
    )
    from facecycle_cli.portrait.likeness import MostAlike, identity_embedding
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
    from facecycle_cli.portrait.video import PortraitVideo
    from facecycle_cli.preprocess.run import preprocess
    from facecycle_cli.preprocess.settings import PreprocessSettings
    from facecycle_cli.training.config import TrainConfig
    from facecycle_cli.training.train import train
    from facecycle_cli.translate.settings import TranslateSettings
    from facecycle_cli.translate.video import translate, translate_picture
    from facecycle_cli.verify.metrics import verification_metrics
    from facecycle_cli.verify.verify import Verdict, verify, verify_many

__version__ = "0.1.0"

_MODULES = {
    "encode.encode": ["encode"],
    "errors": ["FacecycleError", "NoFaceError"],
    "evaluation.expression": ["evaluate_expression"],
    "evaluation.expression_data": ["load_expressions"],
    "evaluation.pose": ["evaluate_pose"],
    "evaluation.pose_data": ["load_poses"],
    "evaluation.probes": ["expression_extractor"],
    "evaluation.reconstruction": ["evaluate_reconstruction"],
    "evaluation.reenactment": ["Reenactment", "evaluate_reenactment"],
    "faces": ["FaceBackend", "load_backend"],
    "media": ["Provenance", "read_frames", "read_image", "write_image"],
    "model": ["FaceCycle", "load"],
    "portrait.crops": [
        "CropSettings",
        "FaceCrop",
        "FailedCrop",
        "Picture",
        "crop_faces",
        "face_crop",
    ],
    "portrait.likeness": ["MostAlike", "identity_embedding"],
    "portrait.motions": [
        "FRONTAL",
        "MEAN",
        "NEUTRAL",
        "NEUTRAL_BY_FLOW",
        "PortraitMotion",
        "REBUILT",
    ],
    "portrait.portraits": ["Portrait", "paste_portraits", "portraits", "portraits_of_many"],
    "portrait.verbs": [
        "frontalize",
        "frontalize_crops",
        "frontalize_many",
        "neutralize",
        "neutralize_crops",
        "neutralize_many",
    ],
    "portrait.video": ["PortraitVideo"],
    "preprocess.run": ["preprocess"],
    "preprocess.settings": ["PreprocessSettings"],
    "training.config": ["TrainConfig"],
    "training.train": ["train"],
    "translate.settings": ["TranslateSettings"],
    "translate.video": ["translate", "translate_picture"],
    "verify.metrics": ["verification_metrics"],
    "verify.verify": ["Verdict", "verify", "verify_many"],
}
"""The module of each public name."""

_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "FRONTAL",
    "MEAN",
    "NEUTRAL",
    "NEUTRAL_BY_FLOW",
    "REBUILT",
    "CropSettings",
    "FaceBackend",
    "FaceCrop",
    "FaceCycle",
    "FacecycleError",
    "FailedCrop",
    "MostAlike",
    "NoFaceError",
    "Picture",
    "Portrait",
    "PortraitMotion",
    "PortraitVideo",
    "PreprocessSettings",
    "Provenance",
    "Reenactment",
    "TrainConfig",
    "TranslateSettings",
    "Verdict",
    "crop_faces",
    "encode",
    "evaluate_expression",
    "evaluate_pose",
    "evaluate_reconstruction",
    "evaluate_reenactment",
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
    "translate_picture",
    "verification_metrics",
    "verify",
    "verify_many",
    "write_image",
]


class _Library(ModuleType):
    """This package: public names are imported when they are first used.

    ``encode``, ``preprocess``, ``translate`` and ``verify`` are functions here, and subpackages,
    too. When Python first imports a subpackage, it binds the name in this package to it; here the
    function keeps the name. ``from facecycle_cli.verify import pairs`` works all the same; only
    ``import facecycle_cli.verify.pairs as pairs`` does not, as Python looks for ``pairs`` in the
    function.
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
