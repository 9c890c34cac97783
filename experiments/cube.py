"""OGBench's cube as three tasks of one environment: bring it to one of three places.

It needs OGBench (`pip install ogbench==1.2.2`; MIT licence), which hcsac does not. HCSAC_PLUGINS=experiments.cube
registers the tasks; `python -m experiments.cube FOLDER [EPISODES]` writes logs of OGBench's scripted oracle, a file
for each task. docs/how-to/ogbench.md goes on from there.
"""

import os
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import hcsac

PLACES = {"left": (0.425, 0.15), "right": (0.425, -0.15), "near": (0.35, 0.0)}  # x and y in metres
NEAR = 0.04  # metres, OGBench's bound of success
STEPS = 100  # of an episode; the oracle takes about 55
EPISODES = 1000  # of each task
CUBE = slice(19, 22)  # of an observation: the cube's place, in tenths of a metre from the table's centre
_CENTRE = np.array([0.425, 0.0, 0.0])


class AtPlace:
    """1 while the cube lies at the place, else 0."""

    def __init__(self, place: str) -> None:
        self.goal = np.array([*PLACES[place], 0.02])

    def __call__(self, next_observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        """[n, 28], [n, 5] -> [n]."""
        cube = next_observation[:, CUBE] / 10 + _CENTRE
        return (np.linalg.norm(cube - self.goal, axis=1) <= NEAR).astype(np.float32)


class Cube(gymnasium.Wrapper):
    """OGBench's cube, from a random place to the one that is named, with the reward of `AtPlace`."""

    def __init__(self, place: str) -> None:
        os.environ.setdefault("MUJOCO_GL", "disabled")  # without a display, importing dm_control would warn
        import ogbench  # noqa: F401 (registers its environments)

        # Its mode for collecting data draws cube and arm at random at each reset, all from the seed. Its action space
        # is made anew at every look, with a warning of float64; the checker is the first to look.
        options = {"mode": "data_collection", "terminate_at_goal": False, "disable_env_checker": True}
        super().__init__(gymnasium.make("cube-single-v0", **options).unwrapped)
        self.reward = AtPlace(place)
        space = self.env.observation_space
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, space.shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (5,), np.float32)

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """A random state."""
        observation, info = self.env.reset(**options)
        return observation.astype(np.float32), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One control step of 50 ms; the reward of the cube's new place."""
        observation, _, _, _, info = self.env.step(action)
        observation = observation.astype(np.float32)
        return observation, float(self.reward(observation[None], action[None])[0]), False, False, info


def record(place: str, episodes: int, seed: int) -> dict[str, np.ndarray]:
    """Episodes of the oracle in OGBench's flat form, which has no rewards: the last row of each has no action.

    The oracle is sent to the place or, in every second episode, to a random one; when it is done it is sent
    elsewhere. Its actions are noisy, by more in some episodes than in others.
    """
    from ogbench.manipspace.oracles.markov.cube_markov import CubeMarkovOracle

    env = Cube(place)
    random = np.random.default_rng(seed)
    np.random.seed(seed)  # noqa: NPY002 (the oracle's own source)
    rows: dict[str, list[np.ndarray]] = {"observations": [], "actions": [], "terminals": []}
    for episode in range(episodes):
        observation, info = env.reset(seed=seed * 10_000 + episode)
        oracle = CubeMarkovOracle(env=env)
        oracle.reset(observation, info)
        noise = random.uniform(0.0, 0.3)
        goal = None if episode % 2 else env.reward.goal
        for step in range(STEPS + 1):
            if goal is not None:
                info["privileged/target_block_pos"] = goal
            action = np.clip(oracle.select_action(observation, info) + random.normal(0, noise, 5), -1, 1)
            for kind, value in zip(rows, (observation, action, step == STEPS), strict=True):
                rows[kind].append(np.asarray(value, np.float32))
            if oracle.done:
                observation, info = env.unwrapped.set_new_target()
                observation, goal = observation.astype(np.float32), None
                oracle.reset(observation, info)
            observation, *_, info = env.step(action)
    return {kind: np.stack(values) for kind, values in rows.items()}


for _place in PLACES:
    _id = "examples/cube-v0"
    if _id not in gymnasium.registry:
        gymnasium.register(_id, "experiments.cube:Cube", max_episode_steps=STEPS)
    hcsac.register_task(hcsac.Task(f"cube-{_place}", _id, {"place": _place}, reward=AtPlace(_place)))

if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m experiments.cube FOLDER [EPISODES]")
    folder, episodes = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else EPISODES
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(PLACES):
        np.savez_compressed(folder / f"cube-{name}.npz", **record(name, episodes, seed=number))
        print(f"wrote {folder / f'cube-{name}.npz'}")
