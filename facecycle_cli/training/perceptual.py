"""The perceptual loss: Gram matrices of VGG-19's relu2_1, relu3_1 and relu4_1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facecycle_cli.training.losses import gram

BLOCKS = ((0, 2), (5, 7), (10, 12, 14, 16), (19,))
"""VGG-19's convolutions up to relu4_1, by torchvision's numbers, between the poolings."""
CHANNELS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256),
            12: (256, 256), 14: (256, 256), 16: (256, 256), 19: (256, 512)}  # fmt: skip
TAPS = (5, 10, 19)
"""relu2_1, relu3_1, relu4_1."""


class PerceptualLoss(nn.Module):
    """Mean squared difference of Gram matrices, summed over three layers (method, section 3.3).

    Args:
        state: torchvision's VGG-19 state dict (see :mod:`.vgg19`).
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.convs = nn.ModuleDict()
        for number, (inputs, outputs) in CHANNELS.items():
            conv = nn.Conv2d(inputs, outputs, 3, 1, 1)
            weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
            conv.load_state_dict({"weight": weight, "bias": bias})
            self.convs[str(number)] = conv
        self.requires_grad_(False)

    def grams(self, x: Tensor) -> list[Tensor]:
        """Gram matrices at the three taps."""
        found = []
        for i, block in enumerate(BLOCKS):
            if i:
                x = F.max_pool2d(x, 2)
            for number in block:
                x = F.relu(self.convs[str(number)](x))
                if number in TAPS:
                    found.append(gram(x))
        return found

    def forward(self, images: Sequence[Tensor], target: Tensor) -> Tensor:
        """Every image of ``images`` (N, 3, H, W) against the same ``target``: computed once.

        The average over the images, as if they were one batch.
        """
        with torch.no_grad():
            wanted = self.grams(target)
        found = self.grams(torch.cat(tuple(images)))
        n = len(images)
        losses = [
            F.mse_loss(f.unflatten(0, (n, -1)), w.expand(n, *w.shape))
            for f, w in zip(found, wanted, strict=True)
        ]
        return torch.stack(losses).sum()
