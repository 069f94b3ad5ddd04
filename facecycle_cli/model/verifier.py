"""What verification compares: faces as unit vectors, whose cosine says how alike people look."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.errors import CommandError
from facecycle_cli.model.config import VERIFIER_CELLS, ModelConfig
from facecycle_cli.model.flow import warp
from facecycle_cli.model.inputs import face_ellipse
from facecycle_cli.model.networks import ExpressionEncoder, FlowDecoder, IdentityEncoder

_INNER_WIDTH = 0.9
"""Width of the ellipse in which neutral faces are compared, in widths of a face: without ears."""

_FLOOR = 0.3
"""Added to every variance, in units of the mean variance that is kept: directions in which faces
hardly differ are not blown up to the size of the rest."""

_COMPONENTS = 800
"""Principal components that the whitening starts from, at most."""

_WITHIN = 0.5
"""Weight of the differences between pictures of one person, beside those between people."""


class VerifierNetworks(Protocol):
    """The networks that a verifier looks through: those of a ``FaceCycle``."""

    expression_encoder: ExpressionEncoder
    flow_decoder: FlowDecoder
    identity_encoder: IdentityEncoder


class Verifier(nn.Module):
    """Features of a face, whitened and made unit vectors.

    With ``compares="code"`` (the paper) the features are the identity code. With ``"neutral"`` they
    are what E_exp's lower layers see in the neutral face, cell by cell.

    Faces differ unevenly in the directions of their features, and a few of these, such as the
    light, drown the rest in a plain cosine. Whitening by the principal components of unlabeled
    faces makes them even (Jegou and Chum, "Negative evidences and co-occurences in image retrieval:
    the benefit of PCA and whitening", ECCV 2012). Where there are several pictures of some people,
    what differs between these counts as well (Hatch et al., "Within-class covariance normalization
    for SVM-based speaker recognition", Interspeech 2006). With ``size`` 0 (the paper) features are
    only made unit vectors.

    Attributes:
        side: in pixels, of the faces that are compared. A neutral face is warped from a larger
            picture than the networks take, because small things tell people apart; beyond a
            quarter more pixels the gain is not worth the time (docs/training.md).
        size: length of the whitened vectors; 0 without whitening.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.size = config.verifier.size
        self.of_code = config.verifier.compares == "code"
        self.neutral_side = config.verifier.side or config.image_size * 5 // 4
        whole = max(self.neutral_side, config.image_size)  # the flow sees all of its input
        self.side = config.image_size if self.of_code else whole
        if self.size:
            self.register_buffer("mean", torch.zeros(config.verifier_inputs))
            self.register_buffer("matrix", torch.zeros(config.verifier_inputs, self.size))
            if not self.matrix.is_meta:  # until it is fitted
                self.matrix.fill_diagonal_(1.0)

    def forward(self, networks: VerifierNetworks, x: Tensor) -> Tensor:
        """Faces (N, 3, side, side) -> unit vectors (N, D), whose dot product is their cosine.

        D is ``size``, or the number of features without whitening.

        Raises:
            CommandError: the features are not finite, so that no cosine says anything.
        """
        return self.whiten(self.features(networks, x))

    def whiten(self, features: Tensor) -> Tensor:
        """``features``: (N, config.verifier_inputs) -> unit vectors (N, D).

        Raises:
            CommandError: the features are not finite.
        """
        if self.size:
            features = (features - self.mean) @ self.matrix
        if not bool(features.norm(dim=1).isfinite().all()):
            # It is the weights: a face is bytes, of which no sound network makes such numbers.
            raise CommandError(
                "this checkpoint's features of a face are not finite: nothing can be compared"
            )
        return F.normalize(features, dim=1)

    def features(self, networks: VerifierNetworks, x: Tensor) -> Tensor:
        """Faces (N, 3, side, side) -> what is whitened, (N, config.verifier_inputs).

        The average over a face and its mirror image: which side is which says nothing about a
        person.
        """
        face = x if self.of_code else self._inner_face(networks, x)
        both = torch.cat((face, face.flip(-1)))
        if self.of_code:
            described = networks.identity_encoder(both)
        else:
            described = _cells(networks.expression_encoder, both)
        return described.view(2, len(x), -1).mean(0)

    def _inner_face(self, networks: VerifierNetworks, x: Tensor) -> Tensor:
        """The face that the flow makes neutral, from forehead to chin, and nothing around it.

        Neither expression nor pose is left in it: everybody's eyes, nose and mouth are in the same
        positions.
        """
        size = self.config.image_size
        small = _resized(x, size)
        flow = networks.flow_decoder.flow(networks.expression_encoder(small))
        neutral = warp(_resized(x, self.neutral_side), flow, padding=self.config.extensions.padding)
        height, width = neutral.shape[-2:]
        inner = neutral * face_ellipse(width, x.device, _INNER_WIDTH)
        return inner[..., height // 12 :, width // 8 : width - width // 8]

    @torch.no_grad()
    def fit(self, features: Tensor, within: Tensor | None = None) -> None:
        """Measure the whitening.

        Args:
            features: (M, config.verifier_inputs) of M > ``size`` faces, whoever they are.
            within: (K, config.verifier_inputs), features of pictures of people with several
                pictures, less the mean of each person's.

        Raises:
            ValueError: the configuration has no whitening, or there are too few faces.
        """
        if not self.size or len(features) <= self.size:
            raise ValueError(f"no whitening of size {self.size} from {len(features)} faces")
        features = features.double()
        mean = features.mean(0)
        variances, directions = _principal(features - mean)
        total = uneven = torch.diag(variances)
        if within is not None:
            change = within.double() @ directions
            scatter = change.T @ change
            if scatter.trace() > 0:
                scatter *= variances.sum() / scatter.trace()
                uneven = torch.lerp(total, scatter, _WITHIN)
        values, axes = torch.linalg.eigh(uneven)  # ascending
        floor = _FLOOR * values[-self.size :].mean()
        whiten = axes / (values.clamp_min(0) + floor).sqrt() @ axes.T
        main = torch.linalg.eigh(whiten @ total @ whiten).eigenvectors.flip(1)[:, : self.size]
        self.mean.copy_(mean)
        self.matrix.copy_(directions @ whiten @ main)


def _principal(centered: Tensor) -> tuple[Tensor, Tensor]:
    """The largest variances (k,) and their directions (D, k) of M centered rows (M, D)."""
    rows, columns = centered.shape
    count = min(_COMPONENTS, rows - 1, columns)
    if rows < columns:  # the smaller of two matrices with the same eigenvalues
        variances, weights = torch.linalg.eigh(centered @ centered.T / (rows - 1))
        directions = F.normalize(centered.T @ weights[:, -count:], dim=0)
    else:
        variances, directions = torch.linalg.eigh(centered.T @ centered / (rows - 1))
        directions = directions[:, -count:]
    return variances[-count:].clamp_min(0), directions


def _resized(x: Tensor, side: int) -> Tensor:
    """Faces (N, 3, H, W) at (N, 3, side, side)."""
    if tuple(x.shape[-2:]) == (side, side):
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)


def _cells(encoder: ExpressionEncoder, inner: Tensor) -> Tensor:
    """What E_exp's lower layers see, averaged in each cell: they know what eyes and mouths are."""
    # Channels last, these layers take a third less time on a CPU.
    inner = inner.contiguous(memory_format=torch.channels_last)
    return F.adaptive_avg_pool2d(encoder.lower_features(inner), VERIFIER_CELLS).flatten(1)
