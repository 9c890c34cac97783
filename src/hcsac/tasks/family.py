"""Tasks that differ by a number, as the walker at target speeds: many of them from one expression."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from hcsac.errors import UserError
from hcsac.tasks.registry import get_task, suite_body

COUNT = 9  # tasks, unless the expression says how many
_FORM = re.compile(r"(?P<family>.+):(?P<low>[^.:/]*(?:\.\d+)?)\.\.(?P<high>[^:/]+?)(?:/(?P<count>\d+))?")


def tasks_between(text: str, logged: Sequence[str]) -> tuple[str, ...]:
    """The names of tasks with numbers evenly spread over a range, in ascending order.

    Args:
        text: `speed:0..4`, or `walker-speed:0..4/17` for a family in full and another count than 9.
        logged: tasks of the data, by whose body `speed` is `walker-speed`.

    Raises:
        UserError: another form, a range that is none, or a task that does not exist.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UserError(f"--task-parameter {text!r} is not of the form NAME:LOW..HIGH; write it as speed:0..4.")
    low, high = _number(found["low"], text), _number(found["high"], text)
    count = int(found["count"] or COUNT)
    if not low < high or not 2 <= count <= 1000:
        raise UserError(f"--task-parameter {text!r} needs LOW below HIGH, and 2 to 1000 tasks between them.")
    family = found["family"]
    bodies = {body for body in map(suite_body, logged) if body is not None}
    if "-" not in family and len(bodies) == 1:
        family = f"{bodies.pop()}-{family}"
    names = tuple(f"{family}:{value:.6g}" for value in np.linspace(low, high, count).tolist())
    for name in names:
        get_task(name)
    return names


def _number(word: str, text: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"--task-parameter {text!r}: {word!r} is no number; write it as speed:0..4.")
    return number
