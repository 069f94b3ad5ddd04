"""Says when a run does not learn: gradients that explode, held-out faces that get worse, folds.

Everything is judged from the lines of the log alone. So a resumed run, which reads them again, says
what an uninterrupted one says.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from facecycle_cli.errors import TrainingError

if TYPE_CHECKING:
    from facecycle_cli.training.loop import Learner
    from facecycle_cli.training.run import RunFolder

_EXPLODED: Final = 100.0
"""A gradient so many times its median so far has exploded."""
_ABOVE_LOSS: Final = 10_000.0
"""So has one so many times the loss (at least 1). Of the losses here it is 1 to 30 times, of nearly
constant codes up to 1,500 times."""
_REMEMBERED: Final = 50
"""Lines whose median counts."""
_LEAST: Final = 5
"""Lines before the median counts."""
_FAR: Final = 1.5
"""A held-out loss so many times its best is far above it, ..."""
_LONG: Final = 3
"""... and does not come back if so many measurements in a row are."""
_FOLDED: Final = 0.05
"""Share of the cells of held-out flows that fold, above which faces tear."""


class Watch:
    """Watches one stage.

    Args:
        warm_up_steps: first steps of the stage, whose numbers cannot be compared with the rest.
        stops: whether a run that does not learn ends.
    """

    def __init__(self, warm_up_steps: int, *, stops: bool = False) -> None:
        self.stops = stops
        self._warm_up_steps = warm_up_steps
        self._warm = warm_up_steps > 0
        self._gradients: list[float] = []
        self._best: float | None = None
        self._far = 0
        self._said: set[str] = set()

    def replay(self, rows: list[dict[str, Any]]) -> None:
        """Take over what the log says of the stage so far."""
        for row in rows:
            self.see(int(row["step"]), row)

    def see(self, step: int, row: Mapping[str, Any]) -> str | None:
        """Look at a line of the log.

        Args:
            step: number of steps that are done.
            row: its numbers: ``gradient`` and ``loss``, or ``held_out_loss`` and ``folded``.

        Returns:
            What is wrong, in one line; None: nothing, or it was said before.
        """
        if self._warm and step > self._warm_up_steps:
            self._warm = False
            self._gradients, self._best, self._far = [], None, 0
        found = self._gradient(row) or self._held_out(row) or self._folds(row)
        if found is None or found[0] in self._said:
            return None
        self._said.add(found[0])
        return found[1]

    def _gradient(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        gradient = row.get("gradient")
        if gradient is None:
            return None
        usual = statistics.median(self._gradients) if len(self._gradients) >= _LEAST else None
        self._gradients = [*self._gradients[1 - _REMEMBERED :], float(gradient)]
        most = _ABOVE_LOSS * max(1.0, abs(row.get("loss", 1.0)))
        if usual is not None and gradient > _EXPLODED * usual:
            return "gradient", f"the gradient explodes: {gradient:.3g}, {usual:.3g} before"
        if gradient > most:
            return "gradient", f"the gradient explodes: {gradient:.3g}"
        return None

    def _held_out(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        loss = row.get("held_out_loss")
        if loss is None:
            return None
        best = self._best
        if best is None or loss < best:
            self._best, self._far = loss, 0
            return None
        self._far = self._far + 1 if loss > _FAR * best else 0
        if self._far < _LONG:
            return None
        return "held-out", f"the held-out loss stays far above its best: {loss:.3g}, {best:.3g}"

    def _folds(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        folded = row.get("folded", 0.0)
        if folded <= _FOLDED:
            return None
        return "folds", f"the flows fold: {folded:.0%} of their cells, of held-out faces"


def judge(watch: Watch, learner: Learner, row: Mapping[str, float], run: RunFolder) -> None:
    """Say at once, to the user and in the log, if the run does not learn.

    Raises:
        TrainingError: that ends the run, as it was asked to.
    """
    name, step = learner.stage.name, learner.step
    problem = watch.see(step, row)
    if problem is None:
        return
    run.warn(name, step, problem)
    if watch.stops:
        raise TrainingError(
            f"stopped at step {step} of the {name} stage: {problem}; the best checkpoint is kept "
            "(try a lower lr, or clip)"
        )
