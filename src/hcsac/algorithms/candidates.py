"""The policies that one training offers for the choice of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast, get_args

from hcsac.errors import UserError

Rows = Literal["own", "all", "good"]


class Candidate(NamedTuple):
    """A policy to choose among: how strongly its actors imitate, and from which rows they learn.

    own: those of their task; all: all of D*; good: all of D*, imitated the more the better their actions are valued.
    """

    weight: float
    rows: Rows

    def __str__(self) -> str:
        return f"{self.weight!r}:{self.rows}".replace(".0:", ":")


def candidates_of(settings: Any) -> tuple[Candidate, ...]:
    """The candidates, in the order in which they were given; without sharing `all` rows are a task's own.

    Raises:
        UserError: one is not of the form WEIGHT:ROWS with a weight of at least 0, or given twice.
    """
    words = settings.candidates.split(",")
    found = [_candidate(word.strip(), "candidates") for word in words]
    if len(set(found)) != len(found):
        raise UserError(f"setting candidates = {settings.candidates!r} names one twice; name each once.")
    if settings.sharing == "none":
        found = [_without_sharing(candidate) for candidate in found]
    return tuple(dict.fromkeys(found))


def given_candidate(settings: Any) -> int | None:
    """Index of the candidate that is set to act; None where it is to be chosen.

    Raises:
        UserError: it is none of the candidates.
    """
    if settings.candidate is None:
        return None
    given = _candidate(settings.candidate, "candidate")
    if settings.sharing == "none":
        given = _without_sharing(given)
    candidates = candidates_of(settings)
    if given not in candidates:
        raise UserError(
            f"setting candidate = {settings.candidate!r} is none of candidates = {settings.candidates}; add it there."
        )
    return candidates.index(given)


def clone_among(candidates: Sequence[Candidate]) -> int | None:
    """Index of the one that imitates its own task's data alone, if there is one."""
    clone = Candidate(math.inf, "own")
    return candidates.index(clone) if clone in candidates else None


def _without_sharing(candidate: Candidate) -> Candidate:
    return candidate._replace(rows="own") if candidate.rows == "all" else candidate


def _candidate(word: str, setting: str) -> Candidate:
    weight, _, rows = word.partition(":")
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not number >= 0 or rows not in get_args(Rows):
        raise UserError(
            f"setting {setting}: {word!r} is not of the form WEIGHT:own, WEIGHT:all or WEIGHT:good with a weight of at "
            "least 0, as 0.1:own or inf:own."
        )
    return Candidate(number, cast(Rows, rows))
