"""The losses of both stages (paper, section 3; supplementary code), each a function of tensors.

Images are ``(N, 3, H, W)`` ImageNet-normalised RGB; every loss is a scalar mean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model.flow import jacobian_determinant

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


@lru_cache(maxsize=8)
def _window(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The Gaussian window as a (side, side) matrix; zeros beyond the border."""
    offsets = torch.arange(side, device=device)
    distance = (offsets[:, None] - offsets).to(dtype)
    weights = torch.exp(-(distance**2) / (2 * SSIM_SIGMA**2))
    weights = weights * (distance.abs() <= SSIM_WINDOW // 2)
    return weights / weights[side // 2].sum()


def _blur(x: Tensor) -> Tensor:
    """Separable Gaussian window, zero padding.

    As two matrix products: on a CPU a third of the time of a whole training step was the backward
    pass of this blur as a depthwise convolution.
    """
    rows = _window(x.shape[-2], x.device, x.dtype)
    columns = _window(x.shape[-1], x.device, x.dtype)
    return rows @ x @ columns.T


class SsimTarget(NamedTuple):
    """The half of SSIM that depends on the target alone, to be computed once per step."""

    image: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, image: Tensor) -> SsimTarget:
        """Precompute for ``image`` (no gradient flows into it)."""
        with torch.no_grad():
            mean, square = _blur(torch.cat((image, image * image))).chunk(2)
            return cls(image, mean, square - mean * mean)


def ssim(image: Tensor, target: SsimTarget) -> Tensor:
    """Mean structural similarity, 1 for equal images.

    Wang et al. 2004: 11x11 Gaussian window of sigma 1.5, K = (0.01, 0.03), data range 1 as the
    authors' code has it on normalised images.
    """
    mean, square, product = _blur(
        torch.cat((image, image * image, image * target.image))
    ).chunk(3)
    mean_product = mean * target.mean
    mean_squares = mean * mean + target.mean * target.mean
    variance = square - mean * mean
    covariance = product - mean_product
    luminance = (2 * mean_product + _C1) / (mean_squares + _C1)
    structure = (2 * covariance + _C2) / (variance + target.variance + _C2)
    return (luminance * structure).mean()


def ssim_loss(image: Tensor, target: SsimTarget) -> Tensor:
    """``1 - SSIM``."""
    return 1 - ssim(image, target)


def gram(features: Tensor) -> Tensor:
    """Gram matrix (N, C, C) of features (N, C, H, W), averaged over positions."""
    flat = features.flatten(2)
    return torch.bmm(flat, flat.transpose(1, 2)) / flat.shape[-1]


def symmetry_loss(image: Tensor) -> Tensor:
    """L1 between the left half and the mirrored right half."""
    half = image.shape[-1] // 2
    return F.l1_loss(image[..., :half], image[..., -half:].flip(-1))


def margin_loss(mean_face: Tensor, neutral: Tensor, margin: float = 0.1) -> Tensor:
    """How far the mean face is from the neutral faces, beyond ``margin``.

    The authors compute the hinge and discard it, which leaves plain L1 and drags the mean face
    onto every neutral face; here the hinge holds, as the paper's text has it.
    """
    return F.relu((mean_face - neutral).abs() - margin).mean()


def smoothness_loss(flow: Tensor) -> Tensor:
    """Mean absolute second difference of a flow: 0 for every affine motion.

    Not in the paper: without it, flows from a short training tear around the nose.
    """
    d_xx = flow[..., :, 2:] - 2 * flow[..., :, 1:-1] + flow[..., :, :-2]
    d_yy = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    d_xy = flow[..., 1:, 1:] - flow[..., 1:, :-1] - flow[..., :-1, 1:] + flow[..., :-1, :-1]
    return d_xx.abs().mean() + d_yy.abs().mean() + 2 * d_xy.abs().mean()


def folding_loss(flow: Tensor, least: float = 0.25) -> Tensor:
    """Hinge on the Jacobian determinant: cells may shrink to ``least`` of their area, not fold."""
    return F.relu(least - jacobian_determinant(flow)).mean()
