"""A sharing rule: the transitions of highest value, in a fixed number."""

from dataclasses import dataclass

import numpy as np

from hcsac import Selection, sharing_rule
from hcsac.settings import Fields, setting


@dataclass(frozen=True, repr=False)
class TopSettings(Fields, group="Sharing rule example_top"):
    """Of this rule."""

    top_fraction: float = setting(0.25, "fraction of the candidates that example_top takes", 0, 1)


@sharing_rule("example_top", needs_values=True, settings=TopSettings)
def top(own, candidates, settings, memory):
    """The `top_fraction` of the candidates [n] that the task values most."""
    count = round(settings.top_fraction * len(candidates))
    if count == 0:
        return Selection(np.zeros(len(candidates), bool))
    least = np.sort(candidates)[-count]
    return Selection(candidates >= least, threshold=float(least))
