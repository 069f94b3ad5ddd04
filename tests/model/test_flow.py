"""Laws that flows obey, whatever the flow."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facecycle_cli.model import flow as flows
from tests.model.authors import sample

seeds = st.integers(0, 2**31 - 1)
sides = st.integers(3, 20)
amounts = st.floats(-0.25, 0.25, width=32)


def holds_for(*strategies, **named):
    """`given`, with few examples and no deadline: tensors are slow, and machines busy."""

    def decorate(test):
        return settings(deadline=None, max_examples=30)(given(*strategies, **named)(test))

    return decorate


def close(found, expected, atol=1e-5):
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def random_image(seed, side=17, n=2):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def random_flow(seed, side=16, largest=0.5, n=2):
    """Any flow, also one that folds."""
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(n, 2, side, side, generator=source) * 2 - 1) * largest


def smooth_flow(seed, side=33, largest=0.12):
    """A flow that stands still at the border, and does not fold."""
    coarse = random_flow(seed, 3, largest)
    return F.interpolate(F.pad(coarse, (1, 1, 1, 1)), (side, side), mode="bilinear",
                         align_corners=True)  # fmt: skip


def affine(matrix, shift, side=16):
    """(1, 2, side, side): the flow ``matrix @ p + shift``."""
    grid = flows.identity_grid(side, side, like=torch.zeros(1))
    return (
        torch.einsum("ij,njhw->nihw", torch.tensor(matrix), grid)
        + torch.tensor(shift)[None, :, None, None]
    )


affine_flows = st.builds(lambda a, b, c, d, x, y: ([[a, b], [c, d]], [x, y]), *[amounts] * 6)


# -- warp ------------------------------------------------------------------------------------------


@holds_for(seeds, sides, st.sampled_from(["zeros", "border"]))
def test_no_flow_changes_nothing(seed, side, padding):
    image = random_image(seed, side)
    close(flows.warp(image, torch.zeros(2, 2, 4, 4), padding=padding), image)


@holds_for(seeds, sides)
def test_warp_samples_bilinearly_with_zeros_around(seed, side):
    image, flow = random_image(seed, side), random_flow(seed, side, largest=1.5)
    close(flows.warp(image, flow), sample(image, flow), atol=1e-4)


@holds_for(seeds, sides)
def test_border_repeats_the_outermost_pixels(seed, side):
    image, flow = random_image(seed, side), random_flow(seed, side, largest=1.5)
    grid = flows.identity_grid(side, side, like=flow)
    inside = (grid + flow).clamp(-1, 1) - grid
    close(flows.warp(image, flow, padding="border"), sample(image, inside), atol=1e-4)


@holds_for(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), seeds)
def test_shift_by_whole_pixels(shift, seed):
    side, (right, down) = 11, shift
    image = random_image(seed, side)
    flow = torch.tensor([right, down]).view(1, 2, 1, 1).expand(2, 2, 4, 4) * 2 / (side - 1)
    expected = F.pad(image, (5, 5, 5, 5))[..., 5 + down :, 5 + right :][..., :side, :side]
    close(flows.warp(image, flow), expected)


@holds_for(seeds, sides)
def test_a_flow_has_no_resolution_of_its_own(seed, side):
    image, flow = random_image(seed, side), random_flow(seed, 5)
    close(flows.warp(image, flow), flows.warp(image, flows.upsample(flow, (side, side))))


@holds_for(affine_flows)
def test_upsampling_keeps_affine_flows(flow):
    big, small = affine(*flow, side=25), affine(*flow, side=7)
    close(flows.upsample(small, (25, 25)), big)
    # Bicubic interpolation repeats the border and ripples, by 1/20 of the change from cell to cell.
    inner = (slice(None), slice(None), slice(5, 20), slice(5, 20))
    found = flows.upsample(small, (25, 25), mode="bicubic")
    close(found[inner], big[inner], atol=(0.25 + 0.25) * (2 / 6) / 20)


@holds_for(seeds)
def test_one_image_or_one_flow_serves_all(seed):
    image, flow = random_image(seed, n=3), random_flow(seed, n=3)
    one_image = flows.warp(image[:1], flow)
    one_flow = flows.warp(image, flow[:1])
    for i in range(3):
        close(one_image[i : i + 1], flows.warp(image[:1], flow[i : i + 1]))
        close(one_flow[i : i + 1], flows.warp(image[i : i + 1], flow[:1]))
    with pytest.raises(RuntimeError):
        flows.warp(image[:2], flow)


@holds_for(seeds)
def test_warp_keeps_precision_and_lets_gradients_through(seed):
    image = random_image(seed).double()
    flow = random_flow(seed, largest=0.3).double().requires_grad_()
    warped = flows.warp(image, flow, padding="border")
    assert warped.dtype == torch.float64
    warped.sum().backward()
    assert flow.grad is not None
    assert flow.grad.abs().sum() > 0


# -- mirror ----------------------------------------------------------------------------------------


@holds_for(seeds, sides)
def test_mirror_is_the_flow_of_the_mirrored_picture(seed, side):
    image, flow = random_image(seed, side), random_flow(seed, 6, largest=1.0)
    mirrored = flows.warp(image.flip(-1), flows.mirror(flow))
    close(mirrored, flows.warp(image, flow).flip(-1), atol=1e-4)
    assert torch.equal(flows.mirror(flows.mirror(flow)), flow)


# -- compose and invert ----------------------------------------------------------------------------


def stays_inside(second):
    grid = flows.identity_grid(*second.shape[-2:], like=second)
    return ((grid + second).abs() <= 1).all(dim=1, keepdim=True)


@holds_for(affine_flows, affine_flows)
def test_affine_flows_compose_as_affine_maps(first, second):
    (a, s), (b, t) = (map(torch.tensor, pair) for pair in (first, second))
    exact = affine((a @ (torch.eye(2) + b) + b).tolist(), (a @ t + s + t).tolist())
    second = affine(*second)
    inside = stays_inside(second).expand_as(exact)
    close(flows.compose(affine(*first), second)[inside], exact[inside], atol=1e-4)


@holds_for(seeds)
def test_standing_still_is_neutral_in_composition(seed):
    flow = random_flow(seed)
    still = torch.zeros_like(flow)
    close(flows.compose(still, flow), flow)
    close(flows.compose(flow, still), flow)


@holds_for(seeds, seeds)
def test_one_composed_warp_for_two(seed, other):
    # A picture that bilinear sampling reproduces exactly, up to the flows' own resampling.
    ramps = flows.identity_grid(33, 33, like=torch.zeros(1)).expand(2, -1, -1, -1)
    first, second = smooth_flow(seed), smooth_flow(other)
    twice = flows.warp(flows.warp(ramps, first, padding="border"), second, padding="border")
    once = flows.warp(ramps, flows.compose(first, second), padding="border")
    close(once, twice, atol=1e-4)


@holds_for(seeds)
def test_composition_takes_the_second_flows_size(seed):
    assert flows.compose(smooth_flow(seed, 9), smooth_flow(seed, 17)).shape == (2, 2, 17, 17)


@holds_for(seeds)
def test_inverse_undoes(seed):
    flow = smooth_flow(seed)
    assert flows.jacobian_determinant(flow).min() > 0
    still = torch.zeros_like(flow)
    close(flows.compose(flow, flows.invert(flow, iterations=30)), still, atol=1e-5)
    close(flows.compose(flow, flows.invert(flow)), still, atol=2e-3)  # of 3,000: 1.3e-3 at most


@holds_for(seeds)
def test_inverse_undoes_from_the_other_side(seed):
    flow = smooth_flow(seed, side=129)  # exact only on the grid: the error goes with the cells
    other_side = flows.compose(flows.invert(flow), flow)
    close(other_side, torch.zeros_like(flow), atol=0.01)


@holds_for(amounts, amounts)
def test_paper_backflow_is_the_inverse_of_a_constant_flow(right, down):
    flow = affine([[0.0, 0.0], [0.0, 0.0]], [right, down])
    inside = stays_inside(flow).expand_as(flow)
    close(flows.backward_flow(flow)[inside], -flow[inside])
    close(flows.invert(flow), -flow)


@holds_for(seeds)
def test_paper_backflow_is_one_step_of_the_inverse_and_bounded(seed):
    flow = smooth_flow(seed)
    close(flows.backward_flow(flow), -flows.warp(flow, flow))
    wild = flows.backward_flow(random_flow(seed, largest=3.0))
    assert wild.abs().max() <= 1


# -- jacobian --------------------------------------------------------------------------------------


@holds_for(affine_flows, sides)
def test_jacobian_of_an_affine_flow_is_its_determinant(flow, side):
    exact = torch.linalg.det(torch.eye(2) + torch.tensor(flow[0]))
    found = flows.jacobian_determinant(affine(*flow, side=side))
    assert found.shape == (1, side - 1, side - 1)
    close(found, exact.expand_as(found), atol=1e-4)


def test_jacobian_tells_folding():
    turned_over = affine([[-2.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    assert (flows.jacobian_determinant(turned_over) < 0).all()
