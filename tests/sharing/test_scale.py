"""A sharing of many rows through the training loop's own scoring, against one row at a time."""

import numpy as np
import torch

from benchmarks.updates import A, S, random_data
from hcsac.algorithms import make_algorithm, preset, resolve
from hcsac.algorithms.algorithm import generators
from hcsac.sharing.active import ActiveDataset
from hcsac.sharing.selection import Sharer, shared_pairs
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
        return torch.cat([agent.values(s, a, task) for s, a in active.chunks(8192)], dim=1).numpy()

    sharer = Sharer(settings, data.task, data.task_names, replicas=2, updates=1)
    result = sharer(score)
    values = [score(0), score(1)]
    rng = np.random.default_rng(0)
    for row in rng.integers(0, ROWS, 200):  # the batched values are those of the row alone
        one = agent.values(torch.tensor(data.observation[[row]]), torch.tensor(data.action[[row]]), int(row) % 2)
        np.testing.assert_allclose(values[int(row) % 2][:, row], one[:, 0], rtol=1e-4, atol=1e-4)
    for replica, directions in enumerate(result):
        pairs_of_replica = shared_pairs(directions)
        pairs = set(zip(pairs_of_replica.row.tolist(), pairs_of_replica.task.tolist(), strict=True))
        expected = set()
        for one in directions:
            own = sorted(values[one.target][replica][data.task == one.target].tolist())
            position = 0.95 * (len(own) - 1)
            low = int(position)
            tau = own[low] + (position - low) * (own[min(low + 1, len(own) - 1)] - own[low])
            assert abs(tau - one.threshold) < 1e-5
            for row in range(ROWS):
                if data.task[row] == one.source and values[one.target][replica][row] >= one.threshold:
                    expected.add((row, one.target))
        assert pairs == expected
        assert sum(len(one.row) for one in directions) == len(pairs) > 0
