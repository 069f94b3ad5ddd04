"""The types that the library and the command line share: pictures, and choices by name.

Each choice is declared once, here. This module imports nothing heavy, so that every floor may use
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RGBImage: TypeAlias = "NDArray[np.uint8]"
"""A picture: (H, W, 3) uint8; red, green, blue."""

KeptFaces: TypeAlias = Literal["largest", "all"]
"""Which faces of each moment preprocess keeps."""

MediaKind: TypeAlias = Literal["image", "video"]
"""What an input may be, and what is looked for in a folder."""

Expression: TypeAlias = Literal["keep", "remove"]
"""What frontalize does with the facial expression."""

MouthSource: TypeAlias = Literal["landmarks", "flow"]
"""What moves lips and eyelids: their landmarks, or the networks' flow alone."""

MotionMode: TypeAlias = Literal["absolute", "relative"]
"""How translate uses the motion of the source: as it is, or added to the pose of the target."""

MotionSource: TypeAlias = Literal["landmarks", "networks"]
"""What moves a face: the networks' flow alone, or the flow corrected by landmarks."""

MotionPart: TypeAlias = Literal["pose", "expression", "mouth", "eyes"]
"""A part of a motion that translate takes on alone."""

AlignerName: TypeAlias = Literal["mesh", "face-alignment"]
"""The face backend, which finds faces and their landmarks."""

Against: TypeAlias = Literal["frontalize", "neutralize", "translate"]
"""Which command makes the faces that verify compares with their originals."""

OnMissing: TypeAlias = Literal["skip", "fail"]
"""What verify does with a pair that lacks a picture or a face."""

Features: TypeAlias = Literal["code", "conv"]
"""Which frozen features of the expression encoder a linear probe uses."""

ExpressionProtocol: TypeAlias = Literal["validated", "pcl"]
"""How a linear classifier of expressions is trained and on which features."""

Layout: TypeAlias = Literal["auto", "voxceleb", "videos", "images"]
"""How preprocess reads a folder of videos or pictures."""

CropFormat: TypeAlias = Literal["folder", "webdataset"]
"""How preprocess writes its crops."""

StageChoice: TypeAlias = Literal["both", "expression", "identity"]
"""Which stages train runs."""

PresetName: TypeAlias = Literal["paper", "small"]
"""The sizes of the networks, and the settings for their training."""

Transform: TypeAlias = Literal["other-frames", "flip", "mixed"]
"""Where training takes the second view of a face from."""

Cache: TypeAlias = Literal["auto", "device", "ram", "disk"]
"""Where training keeps decoded crops."""

OnDivergence: TypeAlias = Literal["warn", "stop"]
"""What training does if it does not learn."""
