"""Results that others published, by data set, to print beside ours.

Only figures that were read in the publication are here, each with the protocol that it was measured
by. Figures of other protocols are no ranking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PUBLISHED", "Published"]


@dataclass(frozen=True)
class Published:
    """One published row.

    Attributes:
        method: its name, and where it was published.
        values: by the names that the suite gives its own numbers: shares in 0..1, angles in
            degrees.
        protocol: how it was measured.
    """

    method: str
    values: Mapping[str, float]
    protocol: str


_FROZEN = "linear classifier on frozen features"
_CONV = "one linear layer on 6,272 conv features of 100x100 pixels, no validation split"
_REGRESSION = "linear regression on frozen features"
_NO_IDENTITIES = "cosine of features, no training on identities"
_CRAFTED = "hand-crafted features"
_SYNTHETIC = "no identity labels, 400,000 synthetic pictures of 112x112 pixels"
_SSL_FER = "linear classifier, trained on VoxCeleb1 without labels"


def _accuracy(method: str, percent: float, protocol: str) -> Published:
    return Published(method, {"accuracy": percent / 100}, protocol)


def _angles(method: str, yaw: float, pitch: float, roll: float) -> Published:
    return Published(method, {"yaw": yaw, "pitch": pitch, "roll": roll}, _REGRESSION)


_PAPER, _FAB_NET = "FaceCycle (ICCV 2021)", "FAb-Net (by FaceCycle)"
_USYNTHFACE, _IN_SSL_FER = "USynthFace (FG 2023)", "(by SSL-FER)"

PUBLISHED: Mapping[str, tuple[Published, ...]] = {
    "fer2013": (
        _accuracy(_PAPER, 48.76, _FROZEN),
        _accuracy(_FAB_NET, 46.98, _FROZEN),
        _accuracy("TCAE (by FaceCycle)", 45.05, _FROZEN),
    ),
    "rafdb": (
        _accuracy(_PAPER, 71.01, _CONV),
        _accuracy(_FAB_NET, 66.72, _FROZEN),
    ),
    "affectnet": (
        _accuracy("SSL-FER (BMVC 2022)", 59.3, _SSL_FER),
        _accuracy(f"SimCLR {_IN_SSL_FER}", 57.7, _SSL_FER),
        _accuracy(f"MoCo-v2 {_IN_SSL_FER}", 56.8, _SSL_FER),
        _accuracy(f"BYOL {_IN_SSL_FER}", 56.4, _SSL_FER),
        _accuracy(f"FaceCycle {_IN_SSL_FER}", 49.7, _SSL_FER),
    ),
    "aflw2000": (
        _angles(_PAPER, 11.70, 12.76, 12.94),
        _angles(_FAB_NET, 13.92, 13.25, 14.51),
    ),
    "lfw": (
        _accuracy(_PAPER, 73.72, _NO_IDENTITIES),
        _accuracy(
            f"{_PAPER}, a face and its generated version",
            69.2,
            "1000 pairs of original and frontalized or translated faces",
        ),
        _accuracy("VGG-like (by FaceCycle)", 71.48, _NO_IDENTITIES),
        _accuracy("HOG (by FaceCycle)", 62.73, _CRAFTED),
        _accuracy("LBP (by FaceCycle)", 56.90, _CRAFTED),
        _accuracy(_USYNTHFACE, 92.23, _SYNTHETIC),
    ),
    "cplfw": (
        _accuracy(_PAPER, 58.52, _NO_IDENTITIES),
        _accuracy("HOG (by FaceCycle)", 51.73, _CRAFTED),
        _accuracy("LBP (by FaceCycle)", 51.50, _CRAFTED),
        _accuracy(_USYNTHFACE, 72.03, _SYNTHETIC),
    ),
    "calfw": (_accuracy(_USYNTHFACE, 77.05, _SYNTHETIC),),
    "agedb": (_accuracy(_USYNTHFACE, 71.62, _SYNTHETIC),),
    "cfpfp": (_accuracy(_USYNTHFACE, 78.56, _SYNTHETIC),),
}
"""By the names that the data sets have in a folder of the suite (:mod:`.suite`)."""
