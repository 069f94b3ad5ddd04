"""The stages against the method, written out term by term."""

from __future__ import annotations

import copy

import pytest
import torch

from facecycle_cli.errors import SettingsError, TrainingError
from facecycle_cli.model.flow import compose, warp
from facecycle_cli.training import precision
from facecycle_cli.training.guidance import Guide
from facecycle_cli.training.losses import (
    SsimTarget,
    contrast_loss,
    margin_loss,
    ssim_loss,
    symmetry_loss,
)
from facecycle_cli.training.perceptual import PerceptualLoss
from facecycle_cli.training.precision import autocast, gradient_scaler, half_type
from facecycle_cli.training.stages import (
    ExpressionStage,
    IdentityStage,
    LossWeights,
    relit,
    swap_views,
)

WEIGHTS = LossWeights()


@pytest.fixture
def batch(tiny):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 64, generator=generator)
    noises = [tiny.random_noise(4, generator) for _ in range(2)]
    return x, *noises


def l1(a, b):
    return (a - b).abs().mean()


def dissimilarity(image, x):
    return ssim_loss(image, SsimTarget.of(x))


def total(pixel, perceptual, ssim, symmetry, margin=0.0):
    return pixel + 0.01 * perceptual + 5 * ssim + 1.5 * symmetry + margin


def test_views_are_swapped_within_their_pair():
    x = torch.arange(6.0).view(6, 1)
    assert swap_views(x).flatten().tolist() == [3, 4, 5, 0, 1, 2]


def test_a_share_of_the_pairs_is_exchanged_whoever_has_them():
    x = torch.arange(16.0).view(16, 1)
    half = swap_views(x, 0.5)
    assert half.flatten().tolist() == [0, 9, 2, 11, 4, 13, 6, 15, 8, 1, 10, 3, 12, 5, 14, 7]
    assert torch.equal(swap_views(x, 0.0), x)
    for start in range(0, 8, 2):  # four processes with two pairs each
        mine = torch.cat((x[start : start + 2], x[8 + start : 10 + start]))
        expected = torch.cat((half[start : start + 2], half[8 + start : 10 + start]))
        assert torch.equal(swap_views(mine, 0.5, start), expected)


def test_relit_takes_over_the_colors():
    generator = torch.Generator().manual_seed(0)
    face = torch.randn(2, 3, 8, 8, generator=generator)
    gain = torch.rand(2, 3, 1, 1, generator=generator) + 0.5
    shift = torch.randn(2, 3, 1, 1, generator=generator)
    everywhere = torch.ones(8, 8)
    assert torch.allclose(
        relit(face, face * gain + shift, everywhere), face * gain + shift, atol=1e-5
    )
    assert torch.allclose(relit(face, face, everywhere), face, atol=1e-5)


def test_a_guided_stage_can_learn_flows_alone(tiny, batch):
    x, noise, noise_back = batch
    target = torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(1)) - 0.5
    guide = Guide(target, target + 0.1, torch.ones(4, 5))
    stage = ExpressionStage(tiny, LossWeights(guide=2.0))
    whole = stage(x, noise, noise_back, guide)
    alone = stage(x, noise, noise_back, guide, undrawn=True)
    assert set(alone) == {"loss", "smoothness", "folding", "gauge", "guide"}
    assert alone["guide"].item() == pytest.approx(whole["guide"].item())
    assert alone["loss"].item() == pytest.approx(2 * alone["guide"].item())
    optimizer = torch.optim.Adam(stage.parameters_to_train().values(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = stage(x, noise, noise_back, guide, undrawn=True)["loss"]
        loss.backward()
        optimizer.step()
    assert stage(x, noise, noise_back, guide)["guide"].item() < 0.3 * alone["guide"].item()


def test_expression_stage(tiny, batch, vgg_state):
    x, noise, noise_back = batch
    perceptual = PerceptualLoss(vgg_state)
    found = ExpressionStage(tiny, WEIGHTS, perceptual)(x, noise, noise_back)

    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    neutral = tiny.de_express(x, flow, noise)
    other = torch.cat((neutral[2:], neutral[:2]))
    rec = tiny.re_express(other, backflow, noise_back)
    plain = tiny.rebuild(x)
    warped = warp(x, flow, padding="border")
    warped_neutral = warp(other, backflow, padding="border")
    double = warp(torch.cat((warped[2:], warped[:2])), backflow, padding="border")
    pixel = l1(rec, x) + l1(plain, x) + l1(warped_neutral, x) + 1.5 * l1(double, x)
    ssim = dissimilarity(rec, x) + dissimilarity(plain, x) + 1.5 * dissimilarity(double, x)
    symmetry = symmetry_loss(neutral) + 0.5 * symmetry_loss(warped)
    gram = perceptual((neutral, warped_neutral, double, rec), x)

    torch.testing.assert_close(found["pixel"], pixel)
    torch.testing.assert_close(found["ssim"], ssim)
    torch.testing.assert_close(found["symmetry"], symmetry)
    torch.testing.assert_close(found["perceptual"], gram)
    torch.testing.assert_close(found["loss"], total(pixel, gram, ssim, symmetry))


def test_identity_stage(tiny, batch, vgg_state):
    x, noise, noise_back = batch
    perceptual = PerceptualLoss(vgg_state)
    found = IdentityStage(tiny, WEIGHTS, perceptual)(x, noise, noise_back)

    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    neutral = tiny.de_express(x, flow, noise)
    code = tiny.encode_identity(x)
    mean = tiny.de_identify(neutral, code).mean(0).expand(4, -1, -1, -1)
    restored = tiny.re_identify(mean, code)
    rec = tiny.re_express(restored, backflow, noise_back)
    warped = warp(restored, backflow, padding="border")
    pixel = l1(rec, x) + 0.8 * l1(warped, x) + l1(restored, neutral)
    ssim = dissimilarity(rec, x) + 0.8 * dissimilarity(warped, x)
    margin = margin_loss(mean, neutral)
    gram = perceptual((warped, rec), x)

    torch.testing.assert_close(found["margin"], margin)
    expected = total(pixel, gram, ssim, symmetry_loss(restored), margin)
    torch.testing.assert_close(found["loss"], expected, rtol=1e-4, atol=1e-4)


def test_codes_can_learn_by_contrast_alone(tiny, batch):
    x, noise, noise_back = batch
    stage = IdentityStage(tiny, LossWeights(contrast=2.0))
    alone = stage(x, noise, noise_back, undrawn=True)
    assert set(alone) == {"loss", "contrast"}
    whole = stage(x, noise, noise_back)
    assert alone["contrast"].item() == pytest.approx(whole["contrast"].item())
    assert alone["loss"].item() == pytest.approx(2 * alone["contrast"].item())


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_faces_perform_the_motion_of_the_next_pair(tiny, batch, share):
    x, noise, noise_back = batch  # pairs (0, 2) and (1, 3)
    stage = IdentityStage(tiny, LossWeights(contrast=1.0, perform=share))
    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    moved = warp(x, compose(flow, backflow[[1, 0, 3, 2]]), padding="border")
    expected = torch.where(
        torch.tensor([share == 1, True, True, share == 1]).view(4, 1, 1, 1), moved, x
    )
    torch.testing.assert_close(stage._performing(x, 1, 0), expected)
    code = tiny.encode_identity(expected)
    found = stage(x, noise, noise_back, undrawn=True)["contrast"]
    torch.testing.assert_close(found, contrast_loss(code))


def test_networks_can_be_frozen(tiny):
    stage = IdentityStage(tiny, LossWeights(), frozen=("identity_encoder",))
    names = {name.split(".")[0] for name in stage.parameters_to_train()}
    assert names == {"identity_decoder"}
    for wrong in (("trunk",), ("identity_encoder", "identity_decoder")):
        with pytest.raises(SettingsError, match="identity_encoder, identity_decoder"):
            IdentityStage(tiny, LossWeights(), frozen=wrong)


def test_focus_and_flow_losses_are_off_in_the_paper_and_count_when_asked(tiny, batch):
    stage = ExpressionStage(copy.deepcopy(tiny), LossWeights(focus=0.5, smoothness=2.0, gauge=60.0))
    plain = ExpressionStage(copy.deepcopy(tiny), WEIGHTS)(*batch)
    found = stage(*batch)
    assert not torch.allclose(found["pixel"], plain["pixel"])
    extra = 2.0 * found["smoothness"] + 60.0 * found["gauge"]
    expected = found["pixel"] + 5 * found["ssim"] + 1.5 * found["symmetry"] + extra
    torch.testing.assert_close(found["loss"], expected)


def test_a_frozen_trunk_stays_frozen():
    from facecycle_cli.model import FaceCycle, preset

    with torch.device("meta"):
        model = FaceCycle(preset("paper"))
    stage = ExpressionStage(model, WEIGHTS)
    assert not any(name.startswith("trunk.") for name in stage.parameters_to_train())
    assert len(stage.parameters_to_train()) > 50


@pytest.mark.parametrize("kind", [ExpressionStage, IdentityStage])
def test_half_precision_keeps_flows_and_losses_in_full(tiny, batch, vgg_state, kind):
    stage = kind(tiny, WEIGHTS, PerceptualLoss(vgg_state))
    full = stage(*batch)
    with autocast(torch.device("cpu"), torch.bfloat16):
        half = stage(*batch)
        assert tiny.decode_flow(tiny.encode_expression(batch[0])).flow.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in half.values())
    assert half["pixel"].item() == pytest.approx(full["pixel"].item(), rel=0.02)
    assert half["perceptual"].item() == pytest.approx(full["perceptual"].item(), rel=0.1)
    half["loss"].backward()
    assert all(p.grad is not None for p in stage.parameters_to_train().values())


def test_what_half_precision_means_where(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    notes = []
    assert half_type("off", cuda) is None
    monkeypatch.setattr(precision, "_computes_bf16", lambda: False)
    assert half_type("auto", cpu, notes.append) is None
    assert "no fast half precision here" in notes[0]
    monkeypatch.setattr(precision, "_computes_bf16", lambda: True)
    assert half_type("auto", cpu) == torch.bfloat16
    assert half_type("bf16", cpu) == torch.bfloat16
    assert half_type("fp16", cuda) == torch.float16
    with pytest.raises(TrainingError, match="fp16 is for CUDA"):
        half_type("fp16", cpu)
    assert not gradient_scaler(cpu, torch.bfloat16).is_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("amp", "compiled"), [("bf16", False), ("fp16", False), ("bf16", True)])
def test_on_a_gpu(tmp_path, clips, tiny_checkpoint, amp, compiled):
    from facecycle_cli.training.train import open_run, train

    layer = {
        "data": [str(clips)],
        "init": str(tiny_checkpoint),
        "perceptual": "off",
        "steps": 4,
        "batch_size": 4,
        "amp": amp,
        "compile": compiled,
    }
    config = open_run(tmp_path / "run", [layer], resume=False)
    assert train(config, tmp_path / "run", device=torch.device("cuda")).finished
