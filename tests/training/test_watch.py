"""A run that does not learn says so."""

from __future__ import annotations

import pytest

from facecycle_cli.training.watch import Watch


def _lines(watch: Watch, rows, first=10):
    """(step, text) of what the watch says of rows that are 10 steps apart."""
    said = []
    for i, row in enumerate(rows):
        text = watch.see(first + 10 * i, row)
        if text is not None:
            said.append((first + 10 * i, text))
    return said


def _steps(*gradients, loss=1.0):
    return [{"loss": loss, "gradient": gradient} for gradient in gradients]


def test_a_run_that_learns_is_not_mentioned():
    watch = Watch(0)
    rows = []
    for i in range(40):
        rows.append({"loss": 30 - i / 2, "gradient": 37 / (1 + i / 10)})
        rows.append({"held_out_loss": 20 - i / 4, "folded": 0.01})
    assert _lines(watch, rows) == []


def test_a_gradient_that_explodes_at_once_and_later():
    assert _lines(Watch(0), _steps(2e5)) == [(10, "the gradient explodes: 2e+05")]
    assert _lines(Watch(0), _steps(2e4, loss=13.0)) == []
    said = _lines(Watch(0), _steps(*[5.0] * 8, 900.0, 1000.0))
    assert said == [(90, "the gradient explodes: 900, 5 before")], "once, and at once"
    assert _lines(Watch(0), _steps(*[5.0] * 3, 400.0)) == [], "too early to know what is usual"


def test_the_first_drawn_steps_are_not_compared_with_the_warm_up():
    watch = Watch(50)
    rows = [*_steps(*[0.01] * 5), *_steps(*[37.0] * 6, loss=30.0)]
    assert _lines(watch, rows) == []
    assert watch.see(200, {"held_out_loss": 9.0}) is None
    watch = Watch(50)
    assert watch.see(50, {"held_out_loss": 0.1}) is None
    assert [watch.see(n, {"held_out_loss": 20.0}) for n in (60, 70, 80, 90)] == [None] * 4


@pytest.mark.parametrize(
    ("losses", "at"),
    [
        ([6, 5, 8, 8.5, 9, 39], 50),
        ([6, 5, 8, 8.5, 7, 39, 4], None),  # it comes back
        ([6, 5, 6, 6, 6, 6, 7, 7], None),  # worse, but not far
    ],
)
def test_a_held_out_loss_that_stays_far_above_its_best(losses, at):
    said = _lines(Watch(0), [{"held_out_loss": loss} for loss in losses])
    assert [step for step, _ in said] == ([] if at is None else [at])


def test_flows_that_fold():
    said = _lines(Watch(0), [{"held_out_loss": 1.0, "folded": share} for share in (0, 0.04, 0.3)])
    assert said == [(30, "the flows fold: 30% of their cells, of held-out faces")]


def test_a_resumed_run_knows_what_was_said():
    rows = [{"step": 10 * (i + 1), **row} for i, row in enumerate(_steps(*[5.0] * 8, 900.0))]
    watch = Watch(0)
    watch.replay(rows)
    assert watch.see(100, {"loss": 1.0, "gradient": 950.0}) is None
    watch = Watch(0)
    watch.replay(rows[:8])
    assert watch.see(90, {"loss": 1.0, "gradient": 900.0}) is not None
