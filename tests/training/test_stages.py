"""The stages against the method, written out term by term."""

from __future__ import annotations

import copy

import pytest
import torch

from facecycle_cli.errors import SettingsError, TrainingError
from facecycle_cli.model.flow import compose, warp
from facecycle_cli.training import loop
from facecycle_cli.training.config import LossWeights, StageConfig, StageOptions
from facecycle_cli.training.exchange import relit, swap_views
from facecycle_cli.training.guidance import Guide, Guides
from facecycle_cli.training.loop import autocast, gradient_scaler, half_type
from facecycle_cli.training.losses import (
    SsimTarget,
    contrast_loss,
    margin_loss,
    ssim_loss,
    symmetry_loss,
)
from facecycle_cli.training.perceptual import PerceptualLoss, Vgg19
from facecycle_cli.training.stages import (
    ExpressionStage,
    IdentityStage,
    StageResources,
    StepInputs,
)

PAPER = StageConfig()


@pytest.fixture
def batch(tiny):
    """Two pairs: (0, 2) and (1, 3)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 64, 64, generator=generator)
    return StepInputs(x, *(tiny.random_noise(4, generator) for _ in range(2)))


def weighted(**weights):
    return StageConfig(weights=LossWeights(**weights))


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
    target = torch.rand(4, 5, 2, generator=torch.Generator().manual_seed(1)) - 0.5
    inputs = batch._replace(guide=Guide(target, target + 0.1, torch.ones(4, 5)))
    warm_up = inputs._replace(warm_up=True)
    stage = ExpressionStage(tiny, weighted(guide=2.0))
    whole = stage(inputs)
    alone = stage(warm_up)
    assert set(alone) == {"loss", "smoothness", "folding", "gauge", "guide"}
    assert alone["guide"].item() == pytest.approx(whole["guide"].item())
    assert alone["loss"].item() == pytest.approx(2 * alone["guide"].item())
    optimizer = torch.optim.Adam(stage.parameters_to_train().values(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        loss = stage(warm_up)["loss"]
        loss.backward()
        optimizer.step()
    assert stage(inputs)["guide"].item() < 0.3 * alone["guide"].item()


def test_a_stage_knows_its_warm_up(tiny):
    """Flows need landmarks to learn from, codes need a contrast."""
    settings = StageConfig(flow_steps=5, code_steps=7)
    assert ExpressionStage(tiny, settings).warm_up_steps == 0
    guided = StageResources(guides=Guides(None, None, keep=False))
    assert ExpressionStage(tiny, settings, guided).warm_up_steps == 5
    assert IdentityStage(tiny, settings, guided).warm_up_steps == 0
    assert IdentityStage(tiny, settings, guided).guides is None
    contrast = StageConfig(code_steps=7, weights=LossWeights(contrast=1.0))
    assert IdentityStage(tiny, contrast).warm_up_steps == 7
    assert ExpressionStage.is_guided(weighted(guide=1.0))
    assert not ExpressionStage.is_guided(PAPER)
    assert not IdentityStage.is_guided(weighted(guide=1.0))


def test_only_the_identity_stage_whitens_before_a_checkpoint(tiny):
    class Recorder:
        def __init__(self):
            self.fitted = []

        def fit(self, model):
            self.fitted.append(model)

    recorder = Recorder()
    resources = StageResources(whitener=recorder)
    ExpressionStage(tiny, PAPER, resources).prepare_checkpoint()
    assert recorder.fitted == []
    IdentityStage(tiny, PAPER, resources).prepare_checkpoint()
    assert recorder.fitted == [tiny]


def test_expression_stage(tiny, batch, narrow_vgg_state):
    x = batch.x
    perceptual = PerceptualLoss(Vgg19(narrow_vgg_state))
    found = ExpressionStage(tiny, PAPER, StageResources(perceptual))(batch)

    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    neutral = tiny.de_express(x, flow, batch.noise)
    other = torch.cat((neutral[2:], neutral[:2]))
    rec = tiny.re_express(other, backflow, batch.noise_back)
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


def test_identity_stage(tiny, batch, narrow_vgg_state):
    x = batch.x
    perceptual = PerceptualLoss(Vgg19(narrow_vgg_state))
    found = IdentityStage(tiny, PAPER, StageResources(perceptual))(batch)

    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    neutral = tiny.de_express(x, flow, batch.noise)
    code = tiny.encode_identity(x)
    mean = tiny.de_identify(neutral, code).mean(0).expand(4, -1, -1, -1)
    restored = tiny.re_identify(mean, code)
    rec = tiny.re_express(restored, backflow, batch.noise_back)
    warped = warp(restored, backflow, padding="border")
    pixel = l1(rec, x) + 0.8 * l1(warped, x) + l1(restored, neutral)
    ssim = dissimilarity(rec, x) + 0.8 * dissimilarity(warped, x)
    margin = margin_loss(mean, neutral)
    gram = perceptual((warped, rec), x)

    torch.testing.assert_close(found["margin"], margin)
    expected = total(pixel, gram, ssim, symmetry_loss(restored), margin)
    torch.testing.assert_close(found["loss"], expected, rtol=1e-4, atol=1e-4)


def test_codes_can_learn_by_contrast_alone(tiny, batch):
    stage = IdentityStage(tiny, weighted(contrast=2.0))
    alone = stage(batch._replace(warm_up=True))
    assert set(alone) == {"loss", "contrast"}
    whole = stage(batch)
    assert alone["contrast"].item() == pytest.approx(whole["contrast"].item())
    assert alone["loss"].item() == pytest.approx(2 * alone["contrast"].item())


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_faces_are_reenacted_with_the_motion_of_the_next_pair(tiny, batch, share):
    x = batch.x
    settings = StageConfig(weights=LossWeights(contrast=1.0), options=StageOptions(reenact=share))
    stage = IdentityStage(tiny, settings)
    flow, backflow = tiny.decode_flow(tiny.encode_expression(x))
    moved = warp(x, compose(flow, backflow[[1, 0, 3, 2]]), padding="border")
    expected = torch.where(
        torch.tensor([share == 1, True, True, share == 1]).view(4, 1, 1, 1), moved, x
    )
    torch.testing.assert_close(stage.reenacted(batch), expected)
    code = tiny.encode_identity(expected)
    found = stage(batch._replace(warm_up=True))["contrast"]
    torch.testing.assert_close(found, contrast_loss(code))


def test_networks_can_be_frozen(tiny):
    stage = IdentityStage(tiny, StageConfig(frozen=("identity_encoder",)))
    names = {name.split(".")[0] for name in stage.parameters_to_train()}
    assert names == {"identity_decoder"}
    for wrong in (("trunk",), ("identity_encoder", "identity_decoder")):
        with pytest.raises(SettingsError, match="identity_encoder, identity_decoder"):
            IdentityStage(tiny, StageConfig(frozen=wrong))


def test_focus_and_flow_losses_are_off_in_the_paper_and_count_when_asked(tiny, batch):
    settings = StageConfig(
        weights=LossWeights(smoothness=2.0, gauge=60.0), options=StageOptions(focus=0.5)
    )
    plain = ExpressionStage(copy.deepcopy(tiny), PAPER)(batch)
    found = ExpressionStage(copy.deepcopy(tiny), settings)(batch)
    assert not torch.allclose(found["pixel"], plain["pixel"])
    extra = 2.0 * found["smoothness"] + 60.0 * found["gauge"]
    expected = found["pixel"] + 5 * found["ssim"] + 1.5 * found["symmetry"] + extra
    torch.testing.assert_close(found["loss"], expected)


def test_a_frozen_trunk_stays_frozen():
    from facecycle_cli.model import FaceCycle, preset

    with torch.device("meta"):
        model = FaceCycle(preset("paper"))
    stage = ExpressionStage(model, PAPER)
    assert not any(name.startswith("trunk.") for name in stage.parameters_to_train())
    assert len(stage.parameters_to_train()) > 50


@pytest.mark.parametrize("kind", [ExpressionStage, IdentityStage])
def test_half_precision_keeps_flows_and_losses_in_full(tiny, batch, narrow_vgg_state, kind):
    stage = kind(tiny, PAPER, StageResources(PerceptualLoss(Vgg19(narrow_vgg_state))))
    full = stage(batch)
    with autocast(torch.device("cpu"), torch.bfloat16):
        half = stage(batch)
        assert tiny.decode_flow(tiny.encode_expression(batch.x)).flow.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in half.values())
    assert half["pixel"].item() == pytest.approx(full["pixel"].item(), rel=0.02)
    assert half["perceptual"].item() == pytest.approx(full["perceptual"].item(), rel=0.1)
    half["loss"].backward()
    assert all(p.grad is not None for p in stage.parameters_to_train().values())


def test_what_half_precision_means_where(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    notes = []
    assert half_type("off", cuda) is None
    monkeypatch.setattr(loop, "computes_bf16", lambda: False)
    assert half_type("auto", cpu, notes.append) is None
    assert "no fast half precision here" in notes[0]
    monkeypatch.setattr(loop, "computes_bf16", lambda: True)
    assert half_type("auto", cpu) == torch.bfloat16
    assert half_type("bf16", cpu) == torch.bfloat16
    assert half_type("fp16", cuda) == torch.float16
    with pytest.raises(TrainingError, match="fp16 needs CUDA"):
        half_type("fp16", cpu)
    assert not gradient_scaler(cpu, torch.bfloat16).is_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("amp", "compiled"), [("bf16", False), ("fp16", False), ("bf16", True)])
def test_on_a_gpu(tmp_path, clips, tiny_checkpoint, amp, compiled):
    from facecycle_cli.training.run import open_run
    from facecycle_cli.training.train import train

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
