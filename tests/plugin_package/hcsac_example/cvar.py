"""A metric of reports: the conditional value at risk of the returns."""

import numpy as np

import hcsac


@hcsac.metric("example_cvar")
def cvar(returns, task):
    """CVaR (25%): mean return of the worst quarter of the episodes."""
    count = max(1, returns.shape[1] // 4)
    return np.sort(returns, axis=1)[:, :count].mean(axis=1)
