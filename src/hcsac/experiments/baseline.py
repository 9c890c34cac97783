"""The difference of each cell to a baseline on the same data, as behavioural cloning."""

import math
from typing import NamedTuple

from hcsac.evaluation import Estimate, paired_difference, verdict
from hcsac.experiments.groups import Cell, Groups

BASELINE = "bc"  # unless another one is named


class Versus(NamedTuple):
    """Return of a cell minus that of its baseline, on the same initial states."""

    name: str  # of the baseline: its algorithm, with its variant where that is another one
    dataset: str  # of the baseline, as are the next two
    variant: str
    algorithm: str
    same_seeds: bool  # both have the same seeds, which are drawn in pairs; else on each side independently
    episodes: int  # the first ones, which both have
    difference: Estimate
    verdict: str  # `beats NAME`, `not told apart`, `below`, `unknown`


def cell_name(variant: str, algorithm: str) -> str:
    """`hcsac`, or with its variant `hcsac cql_weight=1`."""
    return f"{algorithm} {variant}".strip()


def is_called(name: str, variant: str, algorithm: str) -> bool:
    """Whether a baseline's name means this: an algorithm, a variant, or both as `cell_name` joins them."""
    return name in (algorithm, variant, cell_name(variant, algorithm))


def against_baseline(groups: Groups, name: str, draws: int, seed: int) -> dict[Cell, Versus]:
    """Every cell that has a baseline -> its difference to it.

    The baseline of a cell is the cell of that name on the same task: of the same dataset and variant, else of the same
    dataset, else of another dataset group with the same episodes of this task (as where one of the two was trained on
    this task alone). A cell of that name has none, nor has one for which several are equally near.
    """
    named = [cell for cell in groups if is_called(name, cell[1], cell[2])]
    found = {}
    for cell, group in groups.items():
        if cell in named or (other := _nearest(cell, named, groups)) is None:
            continue
        baseline = groups[other]
        episodes = min(group.returns.shape[1], baseline.returns.shape[1])
        same_seeds = group.seeds == baseline.seeds
        difference = paired_difference(
            group.returns[:, :episodes], baseline.returns[:, :episodes], same_seeds, draws, seed
        )
        dataset, variant, algorithm, _ = other
        short = cell_name("" if variant == cell[1] else variant, algorithm)
        said = verdict(difference, f"beats {short}")
        found[cell] = Versus(short, dataset, variant, algorithm, same_seeds, episodes, difference, said)
    return found


def _nearest(cell: Cell, named: list[Cell], groups: Groups) -> Cell | None:
    """The only one of the cells that is nearest to `cell`; None where there is none, or more than one."""
    own = [other for other in named if other[3] == cell[3]]
    logged = groups[cell].dataset_return
    nearness = (
        [other for other in own if other[:2] == cell[:2]],
        [other for other in own if other[0] == cell[0]],
        [other for other in own if math.isclose(groups[other].dataset_return, logged, rel_tol=1e-9)],
    )
    nearest = next(filter(None, nearness), [])
    return nearest[0] if len(nearest) == 1 else None
