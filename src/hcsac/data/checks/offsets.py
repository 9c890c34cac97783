"""By how many rows actions and rewards are shifted against their states.

An offset k means: the action (or reward) of step t is in row t + k. Correct data have offset 0.
"""

import numpy as np

from hcsac.data.checks.findings import Finding, make_finding

OFFSETS = (-1, 0, 1)
_MOVE = {
    +1: "row t has the {0} that LED to observation t; move every {0} one row earlier "
    "(`hcsac data import` does so for .npz episodes).",
    -1: "row t has the {0} that belongs to observation t + 1; move every {0} one row later.",
}


def shifted(kind: str, offset: int, message: str) -> Finding:
    """The proven finding that every `kind`, "action" or "reward", is shifted by `offset` rows."""
    return make_finding(
        f"{kind}s-shifted", f"{message}: the data have offset {offset:+d}.", move=_MOVE[offset].format(kind)
    )


def perhaps_shifted(kind: str, offset: int, message: str) -> Finding:
    """The finding that every `kind` is probably shifted by `offset` rows."""
    where = "earlier" if offset > 0 else "later"
    return make_finding(f"{kind}s-perhaps-shifted", f"{message}: probably offset {offset:+d}.", label=kind, where=where)


def best(scores: np.ndarray) -> int:
    """The offset with the highest score; a tie goes to 0."""
    top = int(np.argmax(scores))
    return OFFSETS[top] if scores[top] > scores[OFFSETS.index(0)] else 0


def listed(values: np.ndarray, form: str) -> str:
    """The three values with their offsets."""
    return ", ".join(
        f"{value:{form}} at {offset:+d}" if offset else f"{value:{form}} at 0"
        for value, offset in zip(values, OFFSETS, strict=True)
    )
