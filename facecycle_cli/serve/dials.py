"""The options of the verbs as fields of a form or of a query: names, ranges, defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypeAlias

from facecycle_cli.serve.errors import RequestError

__all__ = ["Dial", "DialKind", "DialValue", "parse_dials"]

DialKind: TypeAlias = Literal["choice", "flag", "integer", "number", "text"]
DialValue: TypeAlias = "str | int | float | bool"

_LONGEST = 200
"""Characters of a value."""

_FLAGS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("", "0", "false", "no", "off"), False),
}


@dataclass(frozen=True)
class Dial:
    """An option of a verb.

    Attributes:
        name: of the field; dashes of the command line are underscores here.
        kind: what values it takes.
        default: None: what the verb does without it.
        choices: of a ``choice``.
        low, high: of a number; None: no limit.
        hint: what a ``text`` may be, for people.
        help: what it does.
    """

    name: str
    kind: DialKind
    default: DialValue | None = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    hint: str = ""
    help: str = ""

    def parse(self, text: str) -> DialValue:
        """The value of a field.

        Raises:
            RequestError: it is none.
        """
        if len(text) > _LONGEST:
            raise self._refusal("too long")
        if self.kind == "flag":
            value = _FLAGS.get(text.lower())
            if value is None:
                raise self._refusal(f"{text!r} is neither true nor false")
            return value
        if self.kind == "choice":
            if text not in self.choices:
                raise self._refusal(f"{text!r} is none of {', '.join(self.choices)}")
            return text
        if self.kind == "text":
            # What follows would be a file of this machine, and a client names none.
            if text.lower().startswith("like:"):
                raise self._refusal("a request names no files")
            return text
        return self._number(text)

    def _number(self, text: str) -> int | float:
        try:
            value = int(text) if self.kind == "integer" else float(text)
        except ValueError:
            raise self._refusal(f"{text!r} is no {self.kind}") from None
        low, high = self.low, self.high
        too_low, too_high = low is not None and value < low, high is not None and value > high
        if not math.isfinite(value) or too_low or too_high:
            limits = [f"at least {low:g}"] if low is not None else []
            limits += [f"at most {high:g}"] if high is not None else []
            raise self._refusal(" and ".join(limits) or "not finite")
        return value

    def _refusal(self, why: str) -> RequestError:
        return RequestError(HTTPStatus.BAD_REQUEST, f"{self.name}: {why}")


def parse_dials(dials: Sequence[Dial], fields: Mapping[str, str]) -> dict[str, DialValue]:
    """The values of the fields of a request.

    Args:
        dials: of its verb.
        fields: name -> text; an empty text is as good as none.

    Raises:
        RequestError: a field is unknown, or has no such value.
    """
    known = {dial.name: dial for dial in dials}
    values: dict[str, DialValue] = {}
    for name, text in fields.items():
        dial = known.get(name.replace("-", "_"))
        if dial is None:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"unknown field {name[:_LONGEST]!r}")
        if text:
            values[dial.name] = dial.parse(text)
    return values
