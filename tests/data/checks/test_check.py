"""`check` passes good data and says what is wrong with bad data, above all by how many rows it is off."""

from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from hcsac.data import Episode, store
from hcsac.data.checks import Report, check, columns, cross_task, shapes
from hcsac.data.checks.repeats import check_repeats
from hcsac.data.episode import shift
from hcsac.data.formats.npz import read_directory
from hcsac.errors import UserError
from hcsac.tasks import Task, random_rollout, register_task, registry, replay
from tests.data.conftest import cut, save

SHIFTS = [(0, 0), (1, 1), (-1, -1), (1, 0), (0, 1), (0, -1)]


def status(report: Report) -> dict[str, str]:
    return {check.name: check.status for check in report.checks}


def assert_offsets(report: Report, action: int, reward: int) -> None:
    for kind, offset in (("action", action), ("reward", reward)):
        findings = [finding for finding in report.findings if finding.kind == f"{kind}s-shifted"]
        assert len(findings) == (offset != 0), str(report)
        assert status(report)[f"alignment of {kind}s"] == ("error" if offset else "passed")
        for finding in findings:
            assert f"the data have offset {offset:+d}" in finding.evidence
            assert "row t has" in finding.fix
    assert report.kinds <= {"actions-shifted", "rewards-shifted"}
    assert report.passed == (action == reward == 0)


@pytest.mark.parametrize(("action", "reward"), SHIFTS)
def test_replay_finds_the_offset(run: list[Episode], action: int, reward: int) -> None:
    report = check([shift(e, action, reward) for e in run], "walker-run", steps=60)
    assert "replayed" in str(report)
    assert_offsets(report, action, reward)


@pytest.mark.parametrize("folder", ["walk-td3-medium", "walk-td3-medium-replay", "run-td3-medium",
                                    "run-td3-medium-replay"])  # fmt: skip
def test_course_data(course: Path, folder: str) -> None:
    task = f"walker-{folder.split('-')[0]}"
    episodes = read_directory(course / f"walker_{folder}")[:12]
    assert_offsets(check(episodes, task), 0, 0)
    assert_offsets(check([shift(episode, action=1) for episode in episodes], task), 1, 0)
    assert_offsets(check(episodes, task, use_physics=False), 0, 0)
    for offset in (-1, 1):
        late = check([shift(episode, action=offset) for episode in episodes], task, use_physics=False)
        assert late.kinds == {"actions-perhaps-shifted"}
        assert late.passed
    late = check([shift(episode, reward=1) for episode in episodes], task, use_physics=False)
    assert_offsets(late, 0, 1)


def test_another_tasks_rewards(walk: list[Episode]) -> None:
    report = check(walk, "walker-run", steps=60)
    assert report.kinds == {"rewards-of-another-task"}
    assert "declare the data as walker-walk" in str(report)
    assert not report.passed


def test_physics_of_another_robot(walk: list[Episode]) -> None:
    odd = [replace(e, physics=e.physics[:, :4]) for e in walk]  # type: ignore[index]
    assert "was it logged under another task" in str(check(odd, "walker-walk"))


def test_physics_of_other_steps(walk: list[Episode]) -> None:
    odd = [replace(e, physics=np.roll(e.physics, 9, axis=0)) for e in walk]  # type: ignore[arg-type]
    report = check(odd, "walker-walk", steps=60)
    assert "simulator-state-mismatch" in report.kinds


def test_numbers_that_are_wrong(walk: list[Episode]) -> None:
    nan = walk[1].observation.copy()
    nan[4, 2] = np.nan
    for name, spoilt in [
        ("not-finite", replace(walk[1], observation=nan)),
        ("action-out-of-bounds", replace(walk[1], action=walk[1].action * 2)),
        ("unequal-lengths", replace(walk[1], reward=np.append(walk[1].reward, 0))),
        ("wrong-shape", replace(walk[1], reward=walk[1].reward[:, None])),
        ("wrong-shape", replace(walk[1], action=walk[1].action[:, :4])),
    ]:
        report = check([walk[0], spoilt], "walker-walk")
        assert report.kinds == {name}
        assert status(report)["other checks"] == "skipped"
        assert "episode 1" in str(report)
        assert not report.passed


def test_boundaries(walk: list[Episode]) -> None:
    truncated = walk[0].truncated.copy()
    truncated[10] = True
    first = cut(walk[0], 500)
    rest = replace(walk[0], **{k: getattr(walk[0], k)[500:] for k in ("observation", "action", "reward", "terminated",
                                                                      "truncated", "physics")})  # fmt: skip
    for episodes, message in [
        ([replace(walk[0], truncated=truncated)], "ends in step 10 but has steps up to 999"),
        ([replace(walk[0], truncated=np.zeros(1000, bool))], "is neither terminated nor truncated"),
        ([first, rest], "starts exactly where episode 0 ends"),
    ]:
        report = check(episodes, "walker-walk", steps=10)
        assert message in str(report)
        assert report.passed == (episodes == [first, rest])  # the state of a robot that goes on is no error


def test_a_ref_and_a_folder(folder: Path, tmp_path: Path, walk: list[Episode]) -> None:
    store.write("test/walk-v0", "walker-walk", walk)
    assert check("test/walk-v0", steps=20).passed
    late = [shift(episode, action=1) for episode in walk]
    save(tmp_path / "log", late)
    assert not check(tmp_path / "log", "walker-walk", steps=20).passed
    with pytest.raises(UserError, match="does not name its task; write it as TASK="):
        check(tmp_path / "log")
    with pytest.raises(UserError, match="do not name their task; give it as task_name"):
        check(walk)


def test_faulty_minari_data_are_reported_not_raised(folder: Path, walk: list[Episode]) -> None:
    store.write("test/walk-v0", "walker-walk", walk)
    import h5py

    with h5py.File(folder / "test/walk-v0/data/main_data.hdf5", "a") as file:
        file["episode_1/rewards"][3] = np.nan
    assert check("test/walk-v0").kinds == {"not-finite"}
    with pytest.raises(UserError, match=r"'test/walk-v0', episode 1: reward has NaN"):
        store.read("test/walk-v0")


def test_what_cannot_be_told_is_skipped_with_a_reason(small: list[Episode]) -> None:
    report = check([replace(e, physics=None) for e in small], "walker-walk")
    assert status(report)["alignment of actions"] == "skipped"
    assert "too few steps" in str(report)


class Fall(gymnasium.Env):
    """A point that drifts by its action and whose world ends beyond 1; its state can be set."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.set_physics(self.np_random.uniform(-0.5, 0.5, 2)), {"physics": self.get_physics()}

    def get_physics(self):
        return self.state.copy()

    def set_physics(self, state):
        self.state = np.array(state, np.float64)
        return self.state.astype(np.float32)

    def step(self, action):
        self.state = self.state + 0.3 * np.array([action[0], np.sin(self.state[0])])
        over = bool(abs(self.state[0]) > 1)
        return self.state.astype(np.float32), float(self.state[1]), over, False, {"physics": self.get_physics()}


def test_the_worlds_end_and_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    gymnasium.register("tests/fall-v0", entry_point=Fall, max_episode_steps=10)
    register_task(Task("fall", "tests/fall-v0"))
    episodes = [Episode(**random_rollout("fall", seed)) for seed in range(12)]
    ended = [bool(e.terminated[-1]) for e in episodes]
    assert 0 < sum(ended) < len(ended)
    world, late = ended.index(True), next(n for n, e in enumerate(episodes) if not e.terminated[-1])

    def with_ends(number: int, terminated: bool) -> list[Episode]:
        last = np.arange(len(episodes[number])) == len(episodes[number]) - 1
        changed = replace(episodes[number], terminated=last & terminated, truncated=last & (not terminated))
        return [changed if n == number else e for n, e in enumerate(episodes)]

    def clock(data: list[Episode], **options: bool) -> set[str]:
        checks = check(data, "fall", **options).checks
        return {f.kind for check in checks if check.name == "terminated or truncated" for f in check.findings}

    assert clock(episodes) == clock(episodes, use_physics=False) == set()
    assert clock(with_ends(world, False)) == {"termination-as-time-limit"}
    assert clock(with_ends(world, False), use_physics=False) == {"early-truncation"}
    assert clock(with_ends(late, True)) == {"time-limit-as-termination"}
    assert clock(with_ends(late, True), use_physics=False) == {"termination-at-time-limit"}
    short = replace(cut(episodes[late], 4), terminated=np.arange(4) == 3, truncated=np.zeros(4, bool))
    assert clock([*episodes[:late], short]) == {"unfounded-termination"}


def test_a_tasks_own_reward_function_replaces_the_simulator(
    walk: list[Episode], run: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Task("walker-walk", "hcsac/walker-walk-v0", reward=lambda state, action: 2 * state[:, 14])
    monkeypatch.setitem(registry.TASKS._items, "walker-walk", own)
    monkeypatch.setitem(registry.TASKS._items, "walker-run", Task("walker-run", "hcsac/walker-run-v0"))
    paid = [replace(e, physics=None, reward=2 * e.observation[1:, 14]) for e in walk]
    report = check(paid, "walker-walk")
    assert not report.findings, str(report)
    assert "computed from observations" in str(report)
    for spoilt, kind in (
        ([shift(e, reward=1) for e in paid], "rewards-shifted"),
        ([replace(e, reward=3 * e.reward) for e in paid], "rewards-scaled"),
        ([replace(e, reward=e.reward + 0.1 * np.sin(np.arange(1000) * 9.1)) for e in paid], "rewards-noisy"),
        ([replace(e, reward=e.observation[:-1, 3]) for e in paid], "rewards-do-not-fit"),
    ):
        assert kind in check(spoilt, "walker-walk").kinds
    table = cross_task({"a": ("walker-walk", paid), "b": ("walker-run", run)}, steps=100)
    assert table.cells[0][0].mean_return == pytest.approx(np.mean([e.episode_return for e in paid]))  # of all steps
    assert table.cells[0][1] is None  # no physics, and run has no function of its own
    assert "?" in table.markdown()


def test_a_policy_at_its_bounds_with_noise_is_no_clipped_log(walk: list[Episode]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, walk[0].action.shape)
    bound = replace(walk[0], action=np.clip(1 + noise, -1, 1).astype(np.float32))
    assert not columns.check_actions([bound]).findings
    clipped = replace(walk[0], action=np.clip(3 * walk[0].action, -1, 1))
    (finding,) = columns.check_actions([clipped]).findings
    assert (finding.kind, "60% or more" in finding.evidence) == ("saturated-actions", True)


def test_a_reward_that_jumps_within_the_rounding_of_an_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator saw the pole just below the bound, its rounded observation lies on the bound."""
    name = "cartpole-balance_sparse"
    episode = Episode(**random_rollout(name, 0))
    observation, reward = episode.observation.copy(), episode.reward.copy()
    observation[501, :2] = 0.0, np.float32(0.995)
    reward[500] = 0
    on_the_bound = replace(episode, observation=observation, reward=reward, physics=None)
    assert not {kind for kind in check([on_the_bound], name).kinds if kind.startswith("rewards")}
    observation[501, 1] = 0.9951
    assert "rewards-do-not-fit" in check([on_the_bound], name).kinds


def logged(name: str) -> Episode:
    """A short episode of random actions, with states as `hcsac collect` stores them."""
    register_task(replace(registry.get_task(name), kwargs={"max_episode_steps": 120}))
    episode = Episode(**random_rollout(name, 0))
    return replace(episode, physics=episode.physics.astype(np.float32))  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["quadruped-walk", pytest.param("dog-fetch", marks=pytest.mark.long)])
def test_sensors_that_tell_of_the_step_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sensors of touch, force and acceleration are no functions of the state."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    assert check([logged(name)], name).passed


def test_which_columns_are_called_wrong_beside_such_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    stored = logged("hopper-hop")
    assert check([stored], "hopper-hop").passed
    assert check([shift(stored, action=1)], "hopper-hop").kinds == {"actions-shifted"}
    wrong = stored.observation.copy()
    wrong[:, -1] = np.roll(wrong[:, -1], 7) + 0.1
    assert "observation-column-wrong" in check([replace(stored, observation=wrong)], "hopper-hop").kinds
    wrong[:, 0] *= 2
    late = check([shift(replace(stored, observation=wrong), action=1)], "hopper-hop")
    assert late.kinds == {"actions-shifted", "observation-column-wrong"}
    assert "observation column 0" in str(late)


@pytest.mark.parametrize("physics", [True, False])
def test_a_reward_function_that_fails_is_said(
    physics: bool, walk: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Task("walker-walk", "hcsac/walker-walk-v0", reward=lambda state, action: np.full(len(state), np.nan))
    monkeypatch.setitem(registry.TASKS._items, "walker-walk", broken)
    with pytest.raises(UserError, match="reward function of task 'walker-walk' returned NaN or infinity"):
        check(walk[:1], "walker-walk", steps=50, use_physics=physics)


def test_data_of_another_robot(walk: list[Episode]) -> None:
    blind = [replace(e, observation=e.observation[:, :10], physics=None) for e in walk]
    report = check(blind, "walker-walk")
    assert report.kinds == {"size-mismatch"}
    assert not report.readable
    assert "observation size 24 and action size 6, the data have 10 and 6" in report.findings[0].evidence


def test_the_matrix_is_what_each_task_pays(
    walk: list[Episode], run: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random actions visit the same states in both tasks, so each column is nearly constant; the diagonal is exact."""
    exact = cross_task({"w": ("walker-walk", walk[:1]), "r": ("walker-run", run[:1])}, steps=2000)
    for name in ("walker-walk", "walker-run"):  # without a formula the simulator tells the same
        monkeypatch.setitem(registry.TASKS._items, name, replace(registry.get_task(name), reward=None))
    table = cross_task({"w": ("walker-walk", walk[:1]), "r": ("walker-run", run[:1])}, steps=2000)
    for row in range(2):
        for column in range(2):
            assert exact.cells[row][column].mean_return == pytest.approx(table.cells[row][column].mean_return, abs=1e-2)
    for row, episode in enumerate((walk[0], run[0])):
        own = table.cells[row][row]
        assert own.mean_return == pytest.approx(episode.episode_return, abs=1e-2)
        assert (own.steps, own.total, own.standard_error) == (1000, 1000, 0)
        assert table.dataset_returns[row] == pytest.approx(episode.episode_return)
    paid = replay("walker-run", walk[0].physics[:-1], walk[0].action)[1]
    assert table.cells[0][1].mean_return == pytest.approx(paid.sum(dtype=float))
    sampled = cross_task({"w": ("walker-walk", walk)}, steps=200).cells[0][0]
    of_all = np.mean([e.episode_return for e in walk])
    assert 0 < sampled.standard_error < of_all
    assert abs(sampled.mean_return - of_all) < 4 * sampled.standard_error


def test_significant_bits_and_copies(walk: list[Episode]) -> None:
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    table = np.stack(
        [values, values.astype(np.float16).astype(np.float32), np.round(values * 100), np.round(values)], 1
    )
    assert columns._significant_bits([table]).tolist() == [24, 11, 24, 24]  # the last two are whole numbers
    assert columns._significant_bits(np.split(table, [1, 90, 300])).tolist() == [24, 11, 24, 24]
    half = cut(walk[0], 500)
    check = check_repeats([walk[0], half])
    assert check.numbers == {"copied_steps": 500}
    assert "steps 0 to 499 of episode 0 occur again in episode 1, steps 0 to 499" in check.findings[0].evidence
    assert {finding.severity for finding in check.findings} == {"warning"}  # a world without noise repeats itself
    still = replace(half, observation=np.zeros_like(half.observation), action=np.zeros_like(half.action))
    assert not check_repeats([still, walk[0]]).findings


@pytest.mark.parametrize(("jitter", "said"), [(0.0, "is 0 in every step"), (2e-6, "leave the column out"),
                                              (1e-2, None), (4e3, "use the environment's units")])  # fmt: skip
def test_a_mend_for_a_column_of_another_spread(jitter: float, said: str | None) -> None:
    """What is advised must help: standardising does not enlarge a column that hardly moves."""
    rng = np.random.default_rng(0)
    observation = rng.uniform(0, 1, (1001, 3)) * [1, 1, jitter]
    none = np.zeros(1000, bool)
    labels = np.zeros((1000, 1), np.float32), np.zeros(1000, np.float32), none, none
    findings = columns.check_observations([Episode(observation.astype(np.float32), *labels)], None).findings
    assert [said in f"{f.evidence} {f.fix}" for f in findings] == [True] * (said is not None)


def test_what_random_actions_hardly_move_tells_nothing_of_units() -> None:
    """A cube lies still under random actions, and a policy lifts it."""
    rng = np.random.default_rng(0)
    labels = np.zeros((1000, 1), np.float32), *[np.zeros(1000, np.float32)] * 3

    def found(*scales: float) -> list[str]:
        return [f.evidence for f in columns.check_observations([spread(*scales)], [spread(1, 1, 1e-5)]).findings]

    def spread(*scales: float) -> Episode:
        return Episode((rng.uniform(0, 1, (1001, 3)) * scales).astype(np.float32), *labels)

    assert found(1, 1, 0.5) == found(1, 1, 2e-7) == []
    assert "column 2" in found(1, 1, 2e3)[0]
    assert "column 1" in found(1, 100, 0.5)[0]


def test_a_start_that_episodes_share_is_no_cut() -> None:
    """Episodes are reset to the state that one of them happens to end in."""
    home = np.zeros((1, 2), np.float32)
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(3):
        moved = rng.normal(size=(4, 2)).astype(np.float32)
        ends = np.arange(5) == 4
        labels = rng.uniform(-1, 1, (5, 1)).astype(np.float32), np.zeros(5, np.float32), np.zeros(5, bool), ends
        episodes.append(Episode(np.concatenate([home, moved, home]), *labels))
    assert not shapes.check_boundaries(episodes).findings
    other = replace(
        episodes[1], observation=np.concatenate([episodes[0].observation[3:4], episodes[1].observation[1:]])
    )
    before = replace(
        episodes[0], observation=np.concatenate([home, episodes[0].observation[:4], other.observation[:1]])
    )
    assert {f.kind for f in shapes.check_boundaries([before, other]).findings} == {"split-episode"}
