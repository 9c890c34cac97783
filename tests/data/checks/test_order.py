"""Alignment judged from logged values alone: shifts are reported with a warning, correct logs are not."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.logs import LOGS, System, draw_log, system_log
from hcsac.data import Episode, store
from hcsac.data.checks import ERROR, examine
from hcsac.data.checks.order import check_actions, check_rewards
from hcsac.data.checks.predictors import CHUNKS, Rows, losses, p_of, scaled, t_of
from hcsac.data.episode import shift
from hcsac.tasks import ActionBounds, Task, register_task, registry

SYSTEMS = [name for name in LOGS if name.startswith("system")]
EXPLORED = System(explore=0.3, push=0.1)


def log(system: System, seed: int, rows: int = 4000, reward: str = "r(s')") -> list[Episode]:
    return system_log(system, np.random.default_rng(seed), rows, reward)


def moved(episodes: list[Episode], **offsets: int) -> list[Episode]:
    return [shift(episode, **offsets) for episode in episodes]


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_is_wrong_with_correct_logs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m benchmarks.check_calibration` does this to hundreds of logs, docs/data-check.md has the result."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    register_task(Task("logged"))
    report = examine("log", "logged", draw_log(name, 100, most=1500), bounds_of=ActionBounds.unit)
    assert not [f for f in report.findings if f.severity == ERROR or "perhaps" in f.kind], str(report)


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_shift_of_the_actions_is_a_warning(offset: int) -> None:
    episodes = store.read("sample/walker-walk-medium-replay-v0")[1][:3]
    assert check_actions(episodes).status == "passed"
    check = check_actions(moved(episodes, action=offset))
    (finding,) = check.findings
    assert (finding.kind, finding.severity) == ("actions-perhaps-shifted", "warning")
    assert f"probably offset {offset:+d}" in finding.evidence
    assert f"one row {'earlier' if offset > 0 else 'later'} only if that confirms it" in finding.fix


def test_random_actions_one_row_late_are_found() -> None:
    """No state tells them; but an early row looks as if the actuator lagged."""
    episodes = log(System(explore=0.6, push=0.02, idle=True), seed=1)
    assert check_actions(episodes).status == "passed"
    assert check_actions(moved(episodes, action=1)).status == "warning"
    assert check_actions(moved(episodes, action=-1)).status == "skipped"


def test_the_order_of_a_controller_without_noise_is_not_told() -> None:
    for system in (System(), System(push=0.2)):
        check = check_actions(log(system, seed=0))
        assert check.status == "skipped"
        assert "tells no order" in check.message


@pytest.mark.parametrize("reward", ["r(s, a)", "r(s')", "r(s)"])
def test_rewards_of_either_state_of_a_step_are_correct(reward: str) -> None:
    """A shift that makes the one convention of the other is not reported either."""
    for seed in range(2):
        episodes = log(EXPLORED, seed, 2000, reward)
        assert not check_rewards(episodes).findings
        if reward != "r(s, a)":
            towards = 1 if reward == "r(s')" else -1
            assert not check_rewards(moved(episodes, reward=towards)).findings


def test_a_reward_of_neither_state_is_a_warning() -> None:
    paid = [replace(e, reward=e.action[:, 0] + e.observation[1:, 0]) for e in log(EXPLORED, seed=3)]
    assert not check_rewards(paid).findings
    for offset in (-1, 1):
        (finding,) = check_rewards(moved(paid, reward=offset)).findings
        assert finding.kind == "rewards-perhaps-shifted"
        assert f"probably offset {offset:+d}" in finding.evidence


def test_too_few_steps_and_nothing_that_varies() -> None:
    episodes = [replace(e, **{k: getattr(e, k)[:60] for k in ("action", "reward", "terminated", "truncated")},
                        observation=e.observation[:61]) for e in log(EXPLORED, seed=0)[:2]]  # fmt: skip
    assert check_actions(episodes).status == "skipped"
    assert "too few steps" in check_actions(episodes).message
    still = [replace(e, reward=np.ones_like(e.reward)) for e in log(EXPLORED, seed=0)]
    assert check_rewards(still).status == "skipped"
    short = [replace(e, **{k: getattr(e, k)[:n] for k, n in
                           (("observation", 3), ("action", 2), ("reward", 2), ("terminated", 2), ("truncated", 2))})
             for e in still]  # fmt: skip
    assert check_actions(short).status == "skipped"


def test_a_loss_is_the_log_of_the_error_that_is_left() -> None:
    """Against the errors of least squares, and against the truth."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(4000, 3)), rng.laplace(size=(4000, 1))
    for size in (0.1, 0.5, 2.0):
        target = scaled(x @ np.array([[1.0], [-2.0], [0.5]]) + size * noise)
        left = np.linalg.lstsq(np.c_[x, np.ones(4000)], target, rcond=None)[0]
        expected = np.log(np.abs(target - np.c_[x, np.ones(4000)] @ left).mean() + 0.02) - np.log(1.02)
        assert losses([x], target).mean() == pytest.approx(expected, abs=0.1)
    assert losses([x], target).shape == (CHUNKS,)
    assert losses((), target).mean() == pytest.approx(0, abs=1e-9)
    assert losses([rng.normal(size=(4000, 3))], target).mean() == pytest.approx(0, abs=0.05)
    assert losses([x], scaled(x[:, :1])).mean() == pytest.approx(np.log(0.02 / 1.02), abs=0.1)


def test_the_t_statistic_is_that_of_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, CHUNKS)
    expected = stats.ttest_1samp(differences, 0, alternative="greater")
    assert t_of(differences) == pytest.approx(expected.statistic)
    assert p_of(t_of(differences)) == pytest.approx(expected.pvalue)


def test_rows_are_thinned_and_have_neighbours() -> None:
    episodes = [replace(e, reward=np.arange(len(e), dtype=np.float32)) for e in log(EXPLORED, 0, rows=20_000)]
    rows = Rows(episodes, reach=2)
    now, later = rows.take(lambda e: e.reward), rows.take(lambda e: e.reward, 2)
    assert len(rows) == len(now) <= 6000 < sum(map(len, episodes))
    assert now.min() == 2
    np.testing.assert_array_equal(later, now + 2)
