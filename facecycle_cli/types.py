"""The types that every floor and the command line share: pictures, and the choices by name.

A choice is declared once, here; the command line and the library both take it from this module,
which imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RGBImage: TypeAlias = "NDArray[np.uint8]"
"""A picture: (H, W, 3) uint8, red, green, blue."""

FaceChoice: TypeAlias = Literal["largest", "all"]
"""Which of a picture's faces."""

Expression: TypeAlias = Literal["keep", "remove"]
"""What frontalize does with the facial expression."""

MouthSource: TypeAlias = Literal["landmarks", "flow"]
"""What says how a mouth moves: landmarks, or the networks' flow alone."""

MotionMode: TypeAlias = Literal["absolute", "relative"]
"""What translate's target takes of the source's motion."""

AlignerName: TypeAlias = Literal["mesh", "face-alignment"]
"""What finds faces and their landmarks."""

Against: TypeAlias = Literal["frontalize", "neutralize", "translate"]
"""Which command makes the faces that are verified against their originals."""

OnMissing: TypeAlias = Literal["skip", "fail"]
"""What becomes of pairs with a missing picture, or one without a face."""

Features: TypeAlias = Literal["code", "conv"]
"""Which frozen features of the expression encoder a probe reads."""

Layout: TypeAlias = Literal["auto", "voxceleb", "videos", "images"]
"""How preprocess reads a tree."""

CropFormat: TypeAlias = Literal["folder", "webdataset"]
"""How preprocess writes its crops."""

StageChoice: TypeAlias = Literal["both", "expression", "identity"]
"""What train trains."""

PresetName: TypeAlias = Literal["paper", "small"]
"""Networks, and the settings that they are trained with."""

Transform: TypeAlias = Literal["other-frames", "flip", "mixed"]
"""Where the second view of a face comes from in training."""

Cache: TypeAlias = Literal["auto", "ram", "disk"]
"""Where decoded crops stay during training."""
