"""Actions and observations column by column: saturated, constant, in other units, rounded."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hcsac.data.checks.findings import Check, Finding, make_finding
from hcsac.data.checks.pieces import moments, pieces
from hcsac.data.episode import Episode
from hcsac.data.scaling import scale_of

# Share of an action's values at its own extremes. Exploring policies reached 0.3; noise around a bound that is clipped
# there gives 0.5.
SATURATED = 0.6
SCALE = 50.0  # how many times a column's spread may differ from that of a random policy
_ALONE = 1000.0  # ... or, where random actions tell nothing of it, from the median of the columns
_COARSE = 12  # significant bits; half precision has 11, bfloat16 8, float32 24
_UNITS = "use the environment's units, or train with standardised observations."
_STILL = (
    "leave the column out, or log data in which it moves; training with standardised observations divides it by the "
    "usual spread of the others, so that it stays as good as constant."
)
_LEAST_VALUES = 100  # distinct values that the precision test needs


def check_actions(episodes: Sequence[Episode]) -> Check:
    """The share of values at the extremes of each action, and actions that never change."""
    low = np.min([episode.action.min(axis=0) for episode in episodes], axis=0)
    high = np.max([episode.action.max(axis=0) for episode in episodes], axis=0)
    varies = high > low
    counts = [
        ((part <= low + 1e-6) | (part >= high - 1e-6)).sum(axis=0) for part in pieces(episodes, lambda e: e.action)
    ]
    at_end = np.sum(counts, axis=0) / sum(len(episode) for episode in episodes)
    findings: list[Finding] = []
    many = np.flatnonzero(varies & (at_end >= SATURATED))
    if many.size:
        worst = int(many[np.argmax(at_end[many])])
        what = f"{at_end[worst]:.0%} of action {worst} are at its extremes, {low[worst]:.4g} or {high[worst]:.4g}"
        findings.append(
            make_finding("saturated-actions", f"{what}; so are {SATURATED:.0%} or more of actions {_listed(many)}.")
        )
    if not varies.all():
        fixed = np.flatnonzero(~varies)
        findings.append(
            make_finding("constant-action", f"action {_listed(fixed)} is {low[fixed[0]]:.4g} in every step.")
        )
    message = f"{at_end[varies].mean() if varies.any() else 1:.0%} of the actions are at their extremes, "
    message += f"at most {at_end.max():.0%} of any one."
    return Check("saturation of actions", message, tuple(findings), numbers={"share_at_extremes": at_end.tolist()})


def check_observations(episodes: Sequence[Episode], reference: Sequence[Episode] | None) -> Check:
    """Constant columns, and columns in other units than the environment's, which `reference` episodes come from."""
    spread = _spread(episodes)
    own = None if reference is None else _spread(reference)
    if own is not None and own.shape != spread.shape:
        own = None
    findings: list[Finding] = []
    constant = spread == 0
    # A column that is constant in the environment, too, is no error of the log.
    if (odd := np.flatnonzero(constant & (own > 0) if own is not None else constant)).size:
        value = episodes[0].observation[0, odd[0]]
        what = f"observation column {_listed(odd)} is {value:.6g} in every step"
        findings.append(make_finding("constant-observation-column", what + _though(own, odd[0])))
    median = np.median(spread[~constant]) if (~constant).any() else 1
    usual = own if own is not None else np.full_like(spread, median)
    bound = SCALE if own is not None else _ALONE
    known = ~constant & (usual > 0)
    ratio = np.divide(spread, usual, out=np.ones_like(spread), where=known)
    off = np.maximum(ratio, 1 / ratio) > bound
    if own is not None:  # a policy may move what random actions hardly touch, as an object that lies still
        off &= (own > np.median(own) / _ALONE) | (spread > median * _ALONE)
    still = off & (scale_of(spread) != spread)
    for columns, mend in ((still, _STILL), (off & ~still, _UNITS)):
        if (odd := np.flatnonzero(columns)).size:
            against = "under random actions in the environment" if own is not None else "of the columns' median spread"
            what = f"observation column {odd[0]} spreads {spread[odd[0]]:.4g}, {ratio[odd[0]]:.3g} times that {against}"
            more = f"; so do columns {_listed(odd)}." if odd.size > 1 else "."
            findings.append(make_finding("column-scale", what + more, mend=mend))
    lowest, highest = (spread[~constant].min(), spread[~constant].max()) if (~constant).any() else (0.0, 0.0)
    message = (
        f"{int((~constant).sum())} of {len(spread)} columns vary; standard deviations {lowest:.3g} to {highest:.3g}."
    )
    return Check("observation columns", message, tuple(findings), numbers={"std": spread.tolist()})


def check_precision(episodes: Sequence[Episode]) -> Check:
    """How many significant bits observations and actions have; columns of whole numbers are exempt."""
    findings, bits_of = [], {}
    arrays: dict[str, Callable[[Episode], np.ndarray]] = {
        "observation": lambda e: e.observation,
        "action": lambda e: e.action,
    }
    for name, of in arrays.items():
        bits = _significant_bits(pieces(episodes, of))
        bits_of[name] = bits
        if (coarse := np.flatnonzero(bits <= _COARSE)).size:
            what = f"{name} column {_listed(coarse)} has at most {bits[coarse].max()} significant bits"
            findings.append(make_finding("coarse-numbers", f"{what}; float16 has 11, float32 24."))
    least = min(int(bits.min()) for bits in bits_of.values())
    message = f"every column has at least {least} of float32's 24 significant bits (columns of whole numbers aside)."
    return Check("precision", message, tuple(findings), numbers={f"{k}_bits": v.tolist() for k, v in bits_of.items()})


def _significant_bits(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Of each column [D] of some values [n, D]; 24 for whole numbers, and where few values differ."""
    used, whole, seen = np.uint32(0), np.bool_(True), None
    for part in parts:
        values = np.asarray(part, np.float32)
        bits = np.ascontiguousarray(values).view(np.uint32) & np.uint32(0x7FFFFF) | np.uint32(0x800000)
        used = used | np.bitwise_or.reduce(np.where(values != 0, bits, np.uint32(0)), axis=0)
        whole = whole & (values == np.round(values)).all(axis=0)
        seen = [
            column if len(column) >= _LEAST_VALUES else np.unique(np.append(column, new))
            for column, new in zip(seen or [values[:0, 0]] * values.shape[1], values.T, strict=True)
        ]
    exempt = whole | np.array([len(column) < _LEAST_VALUES for column in seen or ()])
    trailing = np.bitwise_count((used & -used) - np.uint32(1))  # zeros below the lowest bit that is used
    return np.where(exempt, 24, 24 - trailing.astype(int))


def _spread(episodes: Sequence[Episode]) -> np.ndarray:
    return np.sqrt(np.diag(moments(episodes)[1]))


def _though(own: np.ndarray | None, column: int) -> str:
    return "." if own is None else f", but spreads {own[column]:.4g} under random actions in the environment."


def _listed(columns: np.ndarray) -> str:
    shown = ", ".join(str(column) for column in columns[:8])
    return shown + (f" and {len(columns) - 8} more" if len(columns) > 8 else "")
