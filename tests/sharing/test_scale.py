"""A sharing of many rows through the training loop's own scoring, against one row at a time."""

import numpy as np
import torch

from benchmarks.updates import A, S, random_data
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import Sharer, borrowed
from hcsac.types import Spec

ROWS = 60_000


def test_sharing_at_scale_equals_brute_force():
    data = random_data(2, ROWS)
    settings = resolve(
        "hcsac", preset("slides", "hcsac").replace({"hidden_size": 16, "device": "cpu"}), data.task_names
    )
    cpu = torch.device("cpu")
    agent = make_algorithm("hcsac", Spec(S, A, data.task_names), settings, [0, 1])
    active = ActiveDataset(data, 0.99, "keep", generators([0, 1], 2), cpu)

    def score(task):
        return torch.cat([agent.values(s, a, task) for s, a in active.pieces(8192)], dim=1).numpy()

    sharer = Sharer(settings, data.task, data.task_names, replicas=2, updates=1)
    result = sharer(score)
    values = [score(0), score(1)]
    rng = np.random.default_rng(0)
    for row in rng.integers(0, ROWS, 200):  # the batched values are those of the row alone
        one = agent.values(torch.tensor(data.observation[[row]]), torch.tensor(data.action[[row]]), int(row) % 2)
        np.testing.assert_allclose(values[int(row) % 2][:, row], one[:, 0], rtol=1e-4, atol=1e-4)
    for replica, loans in enumerate(result):
        held = borrowed(loans)
        pairs = set(zip(held.row.tolist(), held.task.tolist(), strict=True))
        expected = set()
        for loan in loans:
            own = sorted(values[loan.target][replica][data.task == loan.target].tolist())
            position = 0.95 * (len(own) - 1)
            low = int(position)
            tau = own[low] + (position - low) * (own[min(low + 1, len(own) - 1)] - own[low])
            assert abs(tau - loan.threshold) < 1e-5
            for row in range(ROWS):
                if data.task[row] == loan.source and values[loan.target][replica][row] >= loan.threshold:
                    expected.add((row, loan.target))
        assert pairs == expected
        assert sum(len(loan.row) for loan in loans) == len(pairs) > 0
