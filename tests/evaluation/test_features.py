"""Frozen features of the expression encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecycle_cli.evaluation.features import expression_extractor
from facecycle_cli.model import load


@pytest.mark.parametrize(("kind", "length"), [("code", 256), ("conv", 1536)])
def test_features_of_a_face_and_of_its_mirror_image(kind, length):
    model = load()
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    flipped = np.ascontiguousarray(crops[:, :, ::-1])
    plain, both = (expression_extractor(model, kind, mirrored=m) for m in (False, True))
    assert plain(crops).shape == both(crops).shape == (3, length)
    assert np.allclose(both(crops), (plain(crops) + plain(flipped)) / 2, atol=1e-5)
    assert np.allclose(both(crops), both(flipped), atol=1e-5)
    if kind == "code":
        with torch.inference_mode():
            expected = model.encode_expression(model.to_input(crops)).numpy()
        assert np.allclose(plain(crops), expected, atol=1e-5)
