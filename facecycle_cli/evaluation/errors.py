"""What can go wrong with an evaluation, and the libraries that only evaluations need."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from contextlib import suppress
from types import ModuleType

__all__ = ["DataError", "EvaluationError", "MissingExtraError", "optional", "prepare", "require"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn", "skimage": "scikit-image"}


class EvaluationError(ValueError):
    """Numbers that cannot be computed from what was given; the message is one line."""


class DataError(EvaluationError):
    """A data set that is not laid out as any of the known ones, or lacks what is needed."""


class MissingExtraError(EvaluationError):
    """A library of the extra ``evaluate`` is not installed."""


def optional(module: str) -> ModuleType:
    """Import ``module`` (of scikit-learn, scikit-image or matplotlib) when it is first needed.

    Raises:
        MissingExtraError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise  # it is there, and something inside of it is broken
        raise _missing(top) from None


def require(module: str) -> None:
    """Check, without importing it, that ``module`` is installed.

    Raises:
        MissingExtraError: it is not; the message says how to install it.
    """
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise _missing(top)


def prepare(module: str) -> None:
    """Import ``module`` in a thread of its own, while something else takes its time."""
    threading.Thread(target=_try_import, args=(module,), daemon=True).start()


def _try_import(module: str) -> None:
    with suppress(Exception):  # whoever needs it meets the error again
        importlib.import_module(module)


def _missing(top: str) -> MissingExtraError:
    return MissingExtraError(
        f"this needs {_DISTRIBUTIONS.get(top, top)}: pip install 'facecycle[evaluate]'"
    )
