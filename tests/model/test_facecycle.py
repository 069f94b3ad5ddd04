"""What goes in and comes out of the networks, at both sizes, and that nothing is left to chance."""

from __future__ import annotations

import copy
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from facecycle_cli.model import PRESETS, FaceCycle, preset
from facecycle_cli.model.config import VerifierConfig


def build(name="small", size=64, **changes):
    torch.manual_seed(0)
    config = replace(preset(name, size), **changes)
    model = FaceCycle(config).eval().requires_grad_(False)
    with torch.no_grad():  # flows worth the name, so that warps do something
        model.flow_decoder.to_flow.weight.normal_(0, 0.5)
    return model


@pytest.fixture(scope="module")
def small():
    return build()


@pytest.fixture
def faces(small):
    return small.to_input(random_faces(3))


def random_faces(n, size=64):
    source = np.random.default_rng(0)
    coarse = source.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    pictures = [Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC) for c in coarse]
    return np.stack([np.array(p) for p in pictures])


# -- shapes and ranges -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("name", PRESETS)
def test_both_presets_at_both_sizes(name, size):
    # Fewer of the equal blocks.
    model = build(name, size, expression_decoder_blocks=2, identity_decoder_blocks=2)
    n = 2 if name == "small" else 1
    x = model.to_input(random_faces(n, size))
    assert x.shape == (n, 3, size, size)
    codes = model.encode(x)
    for code in codes:
        assert code.shape == (n, 256)
        assert code.abs().max() < 1
    flows = model.decode_flow(codes.expression_code)
    for flow in flows:
        side = model.config.flow_size
        assert flow.shape == (n, 2, side, side)
        assert flow.abs().max() <= 1
    neutral = model.de_express(x, flows.flow)
    again = model.re_express(neutral, flows.backflow)
    mean = model.de_identify(neutral, codes.identity_code)
    restored = model.re_identify(mean, codes.identity_code)
    for picture in (neutral, again, mean, restored, model.rebuild(x)):
        assert picture.shape == x.shape
        assert picture.isfinite().all()
    assert model.to_image(neutral).shape == (n, size, size, 3)


def test_batch_is_its_faces_one_by_one(small, faces):
    codes = small.encode_identity(faces)
    flows = small.decode_flow(small.encode_expression(faces))
    together = small.de_express(faces, flows.flow)
    for i in range(len(faces)):
        one = slice(i, i + 1)
        code = small.encode_identity(faces[one])
        torch.testing.assert_close(code, codes[one], atol=1e-5, rtol=0)
        alone = small.de_express(faces[one], flows.flow[one])
        torch.testing.assert_close(alone, together[one], atol=1e-4, rtol=1e-4)


def test_one_face_moved_often(small, faces):
    flows = small.decode_flow(small.encode_expression(faces)).flow
    moved = small.move(small.features(faces[:1]), flows)
    assert moved.shape == faces.shape
    for i in range(len(faces)):
        alone = small.de_express(faces[:1], flows[i : i + 1])
        torch.testing.assert_close(moved[i : i + 1], alone, atol=1e-4, rtol=1e-4)


def test_removing_and_restoring_an_identity_are_two_things(small, faces):
    code = small.encode_identity(faces)
    assert not torch.allclose(small.de_identify(faces, code), small.re_identify(faces, code))


# -- verification ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("compared", ["code", "neutral"])
def test_embeddings_are_unit_vectors_that_do_not_know_left_from_right(compared, size):
    model = build(image_size=size, verifier=VerifierConfig(compared, 256))
    side = model.verifier.side
    x = model.to_input(random_faces(3, side), side)
    found = model.embed_identity(x)
    assert found.shape == (3, model.verifier.size)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    if compared == "code":  # a neutral face comes from a flow, which may take sides
        torch.testing.assert_close(model.embed_identity(x.flip(-1)), found)


def test_neutral_faces_are_compared_inside_the_face():
    """Hair, background and clothes are not the person."""
    model = build()
    with torch.no_grad():
        model.flow_decoder.to_flow.weight.zero_()
    side = model.verifier.side
    x = model.to_input(random_faces(1, side), side)
    other = x.clone()
    other[..., :5, :] = 1  # above the forehead
    other[..., :8] = -1  # beside the face
    features = model.verifier.features(model, x)
    torch.testing.assert_close(model.verifier.features(model, other), features)
    other[..., 40:50, 40:50] = 1
    assert not torch.allclose(model.verifier.features(model, other), features, atol=0.1)


# -- pictures --------------------------------------------------------------------------------------


def test_input_and_image_are_inverse(small):
    faces = random_faces(2)
    assert np.array_equal(small.to_image(small.to_input(faces)).numpy(), faces)
    assert small.to_unit(
        small.to_input(np.full((64, 64, 3), 255, np.uint8))
    ).max() == pytest.approx(1)


def test_input_is_imagenet_normalized(small):
    x = small.to_input(np.zeros((64, 64, 3), np.uint8))
    assert x[0, :, 5, 5].tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_image_is_clamped(small):
    x = torch.full((1, 3, 4, 4), 100.0)
    assert (small.to_image(x) == 255).all()
    assert (small.to_image(-x) == 0).all()


def test_every_kind_of_array_is_the_same_input(small):
    faces = random_faces(2)
    expected = small.to_input(faces)
    frozen = faces.copy()
    frozen.flags.writeable = False
    turned = np.ascontiguousarray(faces[:, ::-1])[:, ::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for same in (
            torch.from_numpy(faces),
            list(faces),
            frozen,
            turned,
            np.asfortranarray(faces),
        ):
            assert torch.equal(small.to_input(same), expected)
        assert torch.equal(small.to_input(np.asarray(Image.fromarray(faces[0]))), expected[:1])


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64, 64, 3), np.uint16),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64), np.uint8),
        np.zeros((1, 1, 64, 64, 3), np.uint8),
        np.zeros((2, 128, 128, 3), np.uint8),
        torch.zeros(2, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(64, 64, 3),
    ],
)
def test_wrong_input_is_named(small, wrong):
    with pytest.raises(ValueError, match=r"faces must be uint8 \(N, 64, 64, 3\), not \w+ \(.*\)"):
        small.to_input(wrong)


# -- noise and determinism -------------------------------------------------------------------------


def test_noise_is_that_of_its_seed(small):
    for first, again, other in zip(small.noise(3), build().noise(3), small.noise(4), strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert first.shape[0] == 1
        assert first.std() == pytest.approx(1, abs=0.05)


def test_noise_is_independent_of_torchs_own_state(small):
    expected = small.noise(7)[0]
    torch.manual_seed(123)
    state = torch.get_rng_state()
    assert torch.equal(build().noise(7)[0], expected)
    torch.set_rng_state(state)
    fresh = FaceCycle(preset("small"))
    torch.set_rng_state(state)
    fresh.noise(1)
    assert torch.equal(torch.get_rng_state(), state), (
        "drawing noise must not disturb a training run"
    )


def test_the_models_seed_is_the_default(small, faces):
    model = build()
    model.seed = 5
    flow = torch.zeros(3, 2, 16, 16)
    expected = small.de_express(faces, flow, small.noise(5))
    assert torch.equal(model.de_express(faces, flow), expected)
    assert not torch.equal(small.de_express(faces, flow), expected)


def test_same_input_same_output(small, faces):
    flow = small.decode_flow(small.encode_expression(faces)).flow
    assert torch.equal(small.de_express(faces, flow), small.de_express(faces, flow))
    assert torch.equal(build().de_express(faces, flow), small.de_express(faces, flow))
    code = small.encode_identity(faces)
    assert torch.equal(small.de_identify(faces, code), small.de_identify(faces, code))


def test_training_draws_its_noise_per_face(small):
    source = torch.Generator().manual_seed(0)
    half, quarter = small.random_noise(4, source)
    assert half.shape == (4, 32, 32, 32)
    assert quarter.shape == (4, 64, 16, 16)
    assert not torch.equal(half[0], half[1])
    assert not torch.equal(small.random_noise(4, source)[0], half)


def test_noise_first_drawn_for_inference_serves_training():
    model = FaceCycle(preset("small"))
    x = model.to_input(random_faces(2))
    with torch.inference_mode():
        model.noise()
    flow = torch.zeros(2, 2, 16, 16)
    model.de_express(x, flow).mean().backward()
    assert model.expression_decoder.noise_half.conv1.weight.grad is not None


def test_generator_asks_for_noise(small, faces):
    with pytest.raises(ValueError, match="noise"):
        small.expression_decoder(small.features(faces), torch.zeros(3, 2, 16, 16), None)


def test_threads_do_not_disturb_each_other(small, faces):
    """Each thread has its own face and its own seed."""
    flow = small.decode_flow(small.encode_expression(faces)).flow

    def run(i):
        one = slice(i, i + 1)
        return small.de_express(faces[one], flow[one], small.noise(i))

    expected = [run(i) for i in range(3)]
    wrong = []

    def repeat(i):
        wrong.extend(i for _ in range(8) if not torch.equal(run(i), expected[i]))

    threads = [threading.Thread(target=repeat, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_copy_is_a_model_of_its_own(small, faces):
    other = copy.deepcopy(small)
    other.expression_encoder.code[2].bias.fill_(3.0)
    assert not torch.equal(other.encode_expression(faces), small.encode_expression(faces))
