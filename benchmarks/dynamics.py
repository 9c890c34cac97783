"""The gate of a dynamics model: `python -m benchmarks.dynamics DATASET...`.

Would short rollouts of a learned model pay the right rewards? An ensemble of 5 networks is fitted to the differences
of successive states. From states among the first 100 steps of episodes that it has not seen, it follows the logged
actions for 5 steps. Printed is the mean error of the reward per step, of all states and of the worst tenth, for each
task that has a reward function of the observation. A model is worth its rollouts where this is below 0.02.
"""

import sys

import numpy as np
import torch
from torch import Tensor, nn

from hcsac import load
from hcsac.algorithms.adam import Adam
from hcsac.algorithms.algorithm import generators
from hcsac.data.dataset import Dataset
from hcsac.networks.linear import HiddenLayers, Linear
from hcsac.tasks import get_task

MODELS, HIDDEN, BATCH, UPDATES, RATE = 5, 256, 256, 15_000, 1e-3
HELD_OUT, FIRST, STEPS, GATE = 0.2, 100, 5, 0.02


class Dynamics(nn.Module):
    """[H, n, S + A] normalized -> [H, n, S], the difference to the next state in units of its standard deviation."""

    def __init__(self, size_in: int, size_out: int):
        super().__init__()
        weights = generators(range(MODELS), 0)
        self.first = Linear((), size_in, HIDDEN, weights)
        self.trunk = HiddenLayers((), HIDDEN, 3, size_out, weights, False, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.trunk(self.first(x))


def main(refs: list[str]) -> None:
    """Fit, roll out, print."""
    data = load(refs)
    episodes = len(data.episode_return)
    held = np.random.default_rng(0).permutation(episodes) < HELD_OUT * episodes
    of_row = np.repeat(np.arange(episodes), np.diff(data.episode_start))
    rows = torch.as_tensor(np.flatnonzero(~held[of_row]))
    state = torch.as_tensor(np.array(data.observations))
    start, action = torch.as_tensor(data.start_index), torch.as_tensor(np.array(data.action))
    mean, std = state.mean(0), state.std(0)
    change = (state[start + 1] - state[start])[rows].std(0)

    def predict(model: Dynamics, s: Tensor, a: Tensor) -> Tensor:
        """Next states [H, n, S] from [H, n, S] and [n, A]."""
        x = torch.cat([(s - mean) / std, a.expand(len(s), -1, -1)], -1)
        return s + change * model(x)

    model = Dynamics(data.observation_size + data.action_size, data.observation_size)
    adam = Adam(model, RATE, "cosine", UPDATES)
    draw = torch.Generator().manual_seed(0)
    for update in range(UPDATES):
        pick = rows[torch.randint(len(rows), (MODELS, BATCH), generator=draw)]
        s, target = state[start[pick]], state[start[pick] + 1]
        out = model(torch.cat([(s - mean) / std, action[pick]], -1))
        loss = (out - (target - s) / change).square().mean((1, 2))
        adam.step(loss)
        if update % 3000 == 2999:
            print(f"update {update + 1}: loss {loss.mean():.4f}", flush=True)

    for m, name in enumerate(data.task_names):
        report(data, held, m, name, lambda s, a: predict(model, s, a))


@torch.no_grad()
def report(data: Dataset, held: np.ndarray, m: int, name: str, predict) -> None:  # type: ignore[no-untyped-def]
    """Errors of one task's rewards."""
    reward = get_task(name).reward
    if reward is None:
        print(f"{name}: no reward function of the observation")
        return
    begin = [
        row
        for e in np.flatnonzero(held & (data.task[data.episode_start[:-1]] == m))
        for row in range(data.episode_start[e], min(data.episode_start[e] + FIRST, data.episode_start[e + 1] - STEPS))
    ]
    at = np.array(begin)
    s = torch.as_tensor(data.observations[data.start_index[at]]).expand(MODELS, -1, -1)
    errors = []
    for k in range(STEPS):
        action = torch.as_tensor(data.action[at + k])
        s = predict(s, action)
        truth = data.observations[data.start_index[at + k] + 1]
        predicted = np.stack([reward(one.numpy(), action.numpy()) for one in s]).mean(0)
        errors.append(np.abs(predicted - reward(truth, action.numpy())))
    of_state = np.mean(errors, 0)
    worst = np.sort(of_state)[-len(of_state) // 10 :].mean()
    verdict = "passes" if of_state.mean() < GATE else "does not pass"
    print(
        f"{name}: {len(at)} states, mean reward error per step {of_state.mean():.4f} (worst tenth {worst:.4f}; by step "
        f"{', '.join(f'{np.mean(e):.4f}' for e in errors)}): {verdict} {GATE}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
