"""From what is known of a face to the vector whose cosine says how alike two people look."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.model.config import ModelConfig

_FLOOR = 0.3
"""Added to every variance, in units of the mean one that is kept: directions in which faces hardly
differ are not blown up to the size of the others."""

_KEPT = 800
"""Principal components that are looked at."""

_WITHIN = 0.5
"""What the differences between pictures of one person count beside those between people."""


class Verifier(nn.Module):
    """Whitens features of faces and makes them unit vectors.

    Faces differ unevenly in the directions of their features, and a few of them, such as the light,
    drown the others in a plain cosine. Whitening by the principal components of the features of
    unlabeled faces makes them even (Jegou and Chum, "Negative evidences and co-occurences in image
    retrieval: the benefit of PCA and whitening", ECCV 2012). Where there are several pictures of
    some people, what differs between these counts as well (Hatch et al., "Within-class covariance
    normalization for SVM-based speaker recognition", Interspeech 2006). With
    ``config.embedding_size`` 0, as in the paper, features are only made unit vectors.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.embedding_size
        if self.size:
            self.register_buffer("mean", torch.zeros(config.embedding_inputs))
            self.register_buffer("matrix", torch.zeros(config.embedding_inputs, self.size))
            if not self.matrix.is_meta:  # until it is fitted
                self.matrix.fill_diagonal_(1.0)

    def forward(self, features: Tensor) -> Tensor:
        """``features``: (N, embedding_inputs) -> (N, embedding_size or embedding_inputs), unit."""
        if self.size:
            features = (features - self.mean) @ self.matrix
        return F.normalize(features, dim=1)

    @torch.no_grad()
    def fit(self, features: Tensor, within: Tensor | None = None) -> None:
        """Measure the whitening.

        Args:
            features: (M, embedding_inputs) of M > embedding_size faces, whoever they are.
            within: (K, embedding_inputs), features of pictures of people with several, less the
                mean of the person's.

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
    count = min(_KEPT, rows - 1, columns)
    if rows < columns:  # the smaller of two matrices with the same eigenvalues
        variances, weights = torch.linalg.eigh(centered @ centered.T / (rows - 1))
        directions = F.normalize(centered.T @ weights[:, -count:], dim=0)
    else:
        variances, directions = torch.linalg.eigh(centered.T @ centered / (rows - 1))
        directions = directions[:, -count:]
    return variances[-count:].clamp_min(0), directions
