"""Asked and achieved speed of a policy that is asked by one: `python -m benchmarks.dial RUN [RUN...] --values 13`.

Mean speed of the torso over the last 800 steps of an episode, and return in the task of the asked speed.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from hcsac import Policy, load_policy, make_env
from hcsac.tasks.walker import torso_speed

STARTING = 200  # steps in which the robot gets up


def main() -> int:
    """Print a row for each speed, between the tasks of the training, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--values", type=int, default=13, help="speeds, evenly spread over the range")
    parser.add_argument("--episodes", type=int, default=10)
    options = parser.parse_args()
    print("| run | asked | achieved | lowest and highest episode | return |\n| --- | ---: | ---: | ---: | ---: |")
    for path in options.runs:
        policy = load_policy(path)
        assert policy.parameter is not None, f"{path} is not asked by a number"
        for asked in np.linspace(*policy.parameter.range, options.values).tolist():
            speeds, returns = roll_out(policy, asked, options.episodes)
            ends = f"{speeds.min():.2f} to {speeds.max():.2f}"
            print(f"| {path.name} | {asked:.2f} | {speeds.mean():.2f} | {ends} | {returns.mean():.0f} |", flush=True)
    return 0


def roll_out(policy: Policy, asked: float, episodes: int, steps: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Mean speed and return of each episode [episodes], all at once, in turn."""
    envs = [make_env(f"walker-speed:{asked:.6g}") for _ in range(episodes)]
    observation = np.stack([env.reset(seed=10_000 + n)[0] for n, env in enumerate(envs)])
    speed, earned = np.zeros((steps, episodes)), np.zeros(episodes)
    for step in range(steps):
        action = policy.act(observation, speed=asked)
        moved = [env.step(a) for env, a in zip(envs, action, strict=True)]
        observation = np.stack([one[0] for one in moved])
        earned += [float(one[1]) for one in moved]
        speed[step] = torso_speed(observation)
    for env in envs:
        env.close()
    return speed[min(STARTING, steps // 5) :].mean(0), earned


if __name__ == "__main__":
    sys.exit(main())
