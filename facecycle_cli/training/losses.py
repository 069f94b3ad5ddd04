"""The losses of both stages (paper, section 3; supplementary code), each a function of tensors.

Images are (N, 3, H, W) ImageNet-normalized RGB, flows (N, 2, H, W) in grid units. Every loss is a
scalar mean. :class:`.PerceptualLoss` has a module of its own, because it has weights.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facecycle_cli.model.flow import jacobian_determinant
from facecycle_cli.model.inputs import face_ellipse
from facecycle_cli.training.guidance import Guide
from facecycle_cli.training.precision import exact

SSIM_WINDOW = 11
"""Side of SSIM's window, in pixels."""

SSIM_SIGMA = 1.5
"""Standard deviation of the window, in pixels."""

_C1, _C2 = 0.01**2, 0.03**2
"""SSIM's constants, for a data range of 1."""


def _window(side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The Gaussian window as a (side, side) matrix; zeros beyond the border."""
    offsets = torch.arange(side, device=device)
    distance = (offsets[:, None] - offsets).to(dtype)
    weights = torch.exp(-(distance**2) / (2 * SSIM_SIGMA**2))
    weights = weights * (distance.abs() <= SSIM_WINDOW // 2)
    return weights / weights[side // 2].sum()


def _blur(x: Tensor) -> Tensor:
    """Blur by the Gaussian window, with zeros beyond the border, as two matrix products.

    As a depthwise convolution, its backward pass took a third of a whole training step on a CPU.
    The result has the format that :func:`.precision.exact` gives.
    """
    x = exact(x)
    rows = _window(x.shape[-2], x.device, x.dtype)
    columns = _window(x.shape[-1], x.device, x.dtype)
    return rows @ x @ columns.T


class SsimTarget(NamedTuple):
    """The part of SSIM that depends on the target alone, computed once per step.

    Attributes:
        image: the target.
        mean: its local means.
        variance: its local variances.
    """

    image: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, image: Tensor) -> SsimTarget:
        """Compute it for ``image``, into which no gradient flows."""
        with torch.no_grad():
            wide = exact(image)
            mean, square = _blur(torch.cat((wide, wide * wide))).chunk(2)
            return cls(wide, mean, square - mean * mean)


def ssim_map(image: Tensor, target: SsimTarget) -> Tensor:
    """Structural similarity around every pixel, (N, 3, H, W), 1 for equal images.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
    TIP 2004: 11x11 Gaussian window of sigma 1.5, K = (0.01, 0.03). The data range is 1, as in the
    authors' code, although images are normalized.
    """
    image = exact(image)
    blurred = _blur(torch.cat((image, image * image, image * target.image)))
    mean, square, product = blurred.chunk(3)
    mean_product = mean * target.mean
    mean_squares = mean * mean + target.mean * target.mean
    variance = square - mean * mean
    covariance = product - mean_product
    luminance = (2 * mean_product + _C1) / (mean_squares + _C1)
    structure = (2 * covariance + _C2) / (variance + target.variance + _C2)
    return luminance * structure


def ssim_loss(image: Tensor, target: SsimTarget, importance: Tensor | None = None) -> Tensor:
    """1 minus the mean structural similarity; ``importance`` is as in :func:`pixel_loss`."""
    similarity = ssim_map(image, target)
    mean = (similarity if importance is None else similarity * importance).mean()
    return 1 - mean.to(torch.promote_types(image.dtype, torch.float32))


def pixel_loss(image: Tensor, target: Tensor, importance: Tensor | None = None) -> Tensor:
    """Mean absolute difference; ``importance`` (H, W), of mean 1, is a weight for every pixel."""
    if importance is None:
        return F.l1_loss(image, target)
    return ((image - target).abs() * importance).mean()


def face_region(side: int, device: torch.device) -> Tensor:
    """Importance (side, side), of mean 1, that lies nearly all on the face of an aligned crop.

    A soft ellipse from the forehead to the chin. Not in the paper: hair and background are half of
    a crop, and a short training has no time to learn them.
    """
    inside = face_ellipse(side, device)
    return inside / inside.mean()


def gram(features: Tensor) -> Tensor:
    """Gram matrix (N, C, C) of features (N, C, H, W), averaged over positions; float32 or float64.

    Losses take differences of them: see :func:`.precision.exact`. On CUDA the product is always one
    of float64: sums of float32 over thousands of positions left an error of 3e-3 in the gradient.
    """
    with torch.autocast(features.device.type, enabled=False):
        wide = features.double() if features.is_cuda else exact(features)
        # Scaled before the product: its result is many times larger than the features.
        flat = wide.flatten(2) * (features.shape[2] * features.shape[3]) ** -0.5
        return torch.bmm(flat, flat.transpose(1, 2))


def symmetry_loss(image: Tensor) -> Tensor:
    """L1 between the left half and the mirrored right half."""
    half = image.shape[-1] // 2
    return F.l1_loss(image[..., :half], image[..., -half:].flip(-1))


def margin_loss(mean_face: Tensor, neutral: Tensor, margin: float = 0.1) -> Tensor:
    """Distance of the mean face from the neutral faces, beyond ``margin``.

    The authors' code computes the hinge and discards it. That leaves plain L1, which pulls the
    mean face onto every neutral face. Here the hinge is used, as in the paper's text.
    """
    return F.relu((mean_face - neutral).abs() - margin).mean()


def contrast_loss(codes: Tensor, persons: Tensor | None = None, temperature: float = 0.2) -> Tensor:
    """How badly each of 2P codes identifies the second view of its pair in the batch (InfoNCE).

    Codes are compared by cosine, as in verification. Not in the paper. Source: Chen et al.,
    "A simple framework for contrastive learning of visual representations", ICML 2020.

    Args:
        codes: (2P, D), first views and then second.
        persons: (P,) integers, the person of each pair; by default each pair shows another one.
            Codes of the same person in different pairs are not compared.
        temperature: of the softmax over similarities.
    """
    unit = exact(F.normalize(codes.float(), dim=1))
    similarity = (unit @ unit.T / temperature).to(codes.dtype)
    pairs = len(codes) // 2
    number = torch.arange(len(codes), device=codes.device)
    other = number.roll(pairs)
    who = (number[:pairs] if persons is None else persons).repeat(2)
    ignored = (who[:, None] == who) & (number != other[:, None])
    similarity = similarity.masked_fill(ignored, -torch.inf)
    return F.cross_entropy(similarity, other)


def smoothness_loss(flow: Tensor) -> Tensor:
    """Mean absolute second difference of a flow: 0 for every affine motion.

    Not in the paper: without it, the flows of a short training tear around the nose.
    """
    d_xx = flow[..., :, 2:] - 2 * flow[..., :, 1:-1] + flow[..., :, :-2]
    d_yy = flow[..., 2:, :] - 2 * flow[..., 1:-1, :] + flow[..., :-2, :]
    d_xy = flow[..., 1:, 1:] - flow[..., 1:, :-1] - flow[..., :-1, 1:] + flow[..., :-1, :-1]
    return d_xx.abs().mean() + d_yy.abs().mean() + 2 * d_xy.abs().mean()


def folding_loss(flow: Tensor, least: float = 0.25) -> Tensor:
    """Hinge on the Jacobian determinant: cells that shrink below ``least`` of their area, or fold.

    Not in the paper.
    """
    return F.relu(least - jacobian_determinant(flow)).mean()


def guide_loss(flow: Tensor, guide: Guide) -> Tensor:
    """Mean distance between where the flow points and where landmarks are, in grid units.

    At every landmark of the neutral face, the flow should point to the same landmark of the face
    itself. Not in the paper.
    """
    targets = guide.target.unsqueeze(1)
    moved = F.grid_sample(flow, targets, padding_mode="border", align_corners=True)[:, :, 0].mT
    distance = (guide.target + moved - guide.source).square().sum(-1).add(1e-8).sqrt()
    return (distance * guide.weight).sum() / guide.weight.sum().clamp_min(1)


def gauge_loss(mean_flow: Tensor) -> Tensor:
    """How much a batch's mean flow (2, H, W) shifts, scales or shears: squared affine coefficients.

    Not in the paper. No other loss says where in the picture the neutral face lies and how large it
    is: any change of shape together with its inverse satisfies the cycle, and a short training
    widens faces. Only the affine part of the mean flow is punished, so that the flows can still
    remove the mean expression.
    """
    _, height, width = mean_flow.shape
    x = torch.linspace(-1, 1, width, dtype=mean_flow.dtype, device=mean_flow.device)
    y = torch.linspace(-1, 1, height, dtype=mean_flow.dtype, device=mean_flow.device)
    x, y = x.expand(height, width), y[:, None].expand(height, width)
    basis = torch.stack((torch.ones_like(x), x, y)).flatten(1)
    basis = exact(basis / basis.square().sum(dim=1, keepdim=True))
    coefficients = exact(mean_flow).flatten(1) @ basis.T
    return coefficients.square().sum().to(mean_flow.dtype)
