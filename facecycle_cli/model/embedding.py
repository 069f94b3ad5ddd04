"""From identity codes to the vectors whose cosine says how alike two people look."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig

_FLOOR = 0.3
"""Added to every variance, in units of the mean one that is kept: directions in which faces hardly
differ are not blown up to the size of the others."""


class Embedding(nn.Module):
    """Whitens identity codes and makes them unit vectors.

    Training spreads faces unevenly over the directions of the code, and a few of them, such as the
    light, drown the others in a plain cosine. Whitening by the principal components of codes of
    unlabelled faces makes them even (Jegou and Chum, "Negative evidences and co-occurences in image
    retrieval: the benefit of PCA and whitening", ECCV 2012). With ``config.embedding_size`` 0, as
    in the paper, codes are only made unit vectors.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.embedding_size
        if self.size:
            self.register_buffer("mean", torch.zeros(config.code_size))
            self.register_buffer("matrix", torch.zeros(config.code_size, self.size))
            if not self.matrix.is_meta:  # until it is fitted
                self.matrix.fill_diagonal_(1.0)

    def forward(self, code: Tensor) -> Tensor:
        """``code``: (N, code_size) -> (N, embedding_size or code_size), of length 1."""
        if self.size:
            code = (code - self.mean) @ self.matrix
        return F.normalize(code, dim=1)

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Measure the whitening on codes (M, code_size) of M >= 2 faces, whoever they are.

        Raises:
            ValueError: the configuration has no whitening, or there are too few codes.
        """
        if not self.size or len(codes) < 2:
            raise ValueError(f"no whitening of size {self.size} from {len(codes)} codes")
        codes = codes.double()
        mean = codes.mean(0)
        variances, directions = torch.linalg.eigh(torch.cov(codes.T))  # ascending
        variances = variances.flip(0)[: self.size].clamp_min(1e-12)
        directions = directions.flip(1)[:, : self.size]
        scale = (variances + _FLOOR * variances.mean()).sqrt()
        self.mean.copy_(mean)
        self.matrix.copy_(directions / scale)
