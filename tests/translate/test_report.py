"""Whether the motion arrived."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecycle_cli.translate.report import Agreement

numbers = st.floats(-100, 100).map(lambda v: round(v, 3))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=50))
def test_agreement_is_numpys(pairs):
    agreement = Agreement()
    for wanted, got in pairs:
        agreement.add(wanted, got)
    wanted, got = np.array(pairs).T
    assert agreement.difference == pytest.approx(np.abs(wanted - got).mean())
    if min(wanted.std(), got.std()) > 1e-3:
        assert agreement.correlation == pytest.approx(np.corrcoef(wanted, got)[0, 1], abs=1e-6)
        assert agreement.slope == pytest.approx(np.polyfit(wanted, got, 1)[0], rel=1e-4, abs=1e-4)
        assert agreement.spread == pytest.approx(wanted.std(), rel=1e-4)


def test_agreement_of_nothing():
    agreement = Agreement()
    assert agreement.difference is None
    assert agreement.correlation is None
    assert (agreement.slope, agreement.spread) == (None, 0.0)
    for _ in range(5):
        agreement.add(1.0, 2.0)
    assert agreement.correlation is None
    assert agreement.slope is None
    assert agreement.difference == 1.0
