"""`check` passes good data and says what is wrong with bad data, above all by how many rows it is off."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcsac.data import Episode, minari_store
from hcsac.data.align import shift
from hcsac.data.check import CheckReport, check
from hcsac.data.npz import read_directory
from hcsac.errors import UserError
from hcsac.tasks import Task, random_rollout, register_task, registry

from .conftest import cut, save

SHIFTS = [(0, 0), (1, 1), (-1, -1), (1, 0), (0, 1), (0, -1)]


def found(report: CheckReport) -> dict[str, str]:
    return {finding.name: finding.status for finding in report.findings}


def assert_offsets(report: CheckReport, action: int, reward: int) -> None:
    for finding, offset in zip(report.findings[-2:], (action, reward), strict=True):
        assert finding.status == ("failed" if offset else "passed"), str(report)
        if offset:
            assert f"the data have offset {offset:+d}: row t holds" in finding.evidence
            assert "move every" in finding.evidence
    assert report.passed == (action == reward == 0)


@pytest.mark.parametrize(("action", "reward"), SHIFTS)
def test_replay_finds_the_offset(run: list[Episode], action: int, reward: int) -> None:
    report = check([shift(e, action, reward) for e in run], "walker-run", steps=60)
    assert "replayed" in str(report)
    assert_offsets(report, action, reward)


@pytest.mark.parametrize(("action", "reward"), SHIFTS[:3])
def test_predictors_find_the_offset(run: list[Episode], action: int, reward: int) -> None:
    bare = [replace(shift(e, action, reward), physics=None) for e in run]
    report = check(bare, "walker-run")
    assert "predictors" in str(report)
    assert_offsets(report, action, reward)


@pytest.mark.parametrize("folder", ["walk-td3-medium", "walk-td3-medium-replay", "run-td3-medium",
                                    "run-td3-medium-replay"])  # fmt: skip
def test_course_data(course: Path, folder: str) -> None:
    task = f"walker-{folder.split('-')[0]}"
    episodes = read_directory(course / f"walker_{folder}")[:12]
    for use_physics in (True, False):
        assert_offsets(check(episodes, task, use_physics=use_physics), 0, 0)
        late = [shift(episode, action=1) for episode in episodes]
        assert_offsets(check(late, task, use_physics=use_physics), 1, 0)
    late = [shift(episode, reward=1) for episode in episodes]
    assert_offsets(check(late, task, use_physics=False), 0, 1)


def test_another_tasks_rewards(walk: list[Episode]) -> None:
    report = check(walk, "walker-run", steps=60)
    assert found(report)["alignment of actions"] == "passed"
    assert "rewards fit walker-run at no offset; were they logged under another task?" in str(report)
    assert not report.passed


def test_physics_of_another_robot(walk: list[Episode]) -> None:
    odd = [replace(e, physics=e.physics[:, :4]) for e in walk]  # type: ignore[index]
    assert "was it logged under another task" in str(check(odd, "walker-walk"))


def test_physics_of_other_steps(walk: list[Episode]) -> None:
    odd = [replace(e, physics=np.roll(e.physics, 9, axis=0)) for e in walk]  # type: ignore[arg-type]
    report = check(odd, "walker-walk", steps=60)
    assert "actions fit walker-walk at no offset" in str(report)


def test_numbers_that_are_wrong(walk: list[Episode]) -> None:
    nan = walk[1].observation.copy()
    nan[4, 2] = np.nan
    for name, spoilt in [
        ("finite numbers", replace(walk[1], observation=nan)),
        ("action bounds", replace(walk[1], action=walk[1].action * 2)),
        ("equal lengths", replace(walk[1], reward=np.append(walk[1].reward, 0))),
        ("shapes", replace(walk[1], reward=walk[1].reward[:, None])),
        ("shapes", replace(walk[1], action=walk[1].action[:, :4])),
    ]:
        report = check([walk[0], spoilt], "walker-walk")
        assert found(report)[name] == "failed", str(report)
        assert found(report)["alignment of actions"] == "skipped"
        assert "episode 1" in str(report)
        assert not report.passed


def test_boundaries(walk: list[Episode]) -> None:
    truncated = walk[0].truncated.copy()
    truncated[10] = True
    first = cut(walk[0], 500)
    rest = replace(walk[0], **{k: getattr(walk[0], k)[500:] for k in ("observation", "action", "reward", "terminated",
                                                                      "truncated", "physics")})  # fmt: skip
    for episodes, message in [
        ([replace(walk[0], truncated=truncated)], "ends in step 10 but goes on to step 999"),
        ([replace(walk[0], truncated=np.zeros(1000, bool))], "has no end"),
        ([first, rest], "begins exactly where episode 0 ends"),
    ]:
        report = check(episodes, "walker-walk", steps=10)
        assert message in str(report)
        assert not report.passed


def test_a_ref_and_a_folder(store: Path, tmp_path: Path, walk: list[Episode]) -> None:
    minari_store.write("test/walk-v0", "walker-walk", walk)
    assert check("test/walk-v0", steps=20).passed
    late = [shift(episode, action=1) for episode in walk]
    save(tmp_path / "log", late)
    assert not check(tmp_path / "log", "walker-walk", steps=20).passed
    with pytest.raises(UserError, match="do not say their task"):
        check(tmp_path / "log")
    with pytest.raises(UserError, match="do not say their task"):
        check(walk)


def test_faulty_minari_data_are_reported_not_raised(store: Path, walk: list[Episode]) -> None:
    minari_store.write("test/walk-v0", "walker-walk", walk)
    import h5py

    with h5py.File(store / "test/walk-v0/data/main_data.hdf5", "a") as file:
        file["episode_1/rewards"][3] = np.nan
    assert found(check("test/walk-v0"))["finite numbers"] == "failed"
    with pytest.raises(UserError, match=r"'test/walk-v0', episode 1: reward holds NaN"):
        minari_store.read("test/walk-v0")


def test_what_cannot_be_told_is_skipped_with_a_reason(small: list[Episode], monkeypatch: pytest.MonkeyPatch) -> None:
    report = check([replace(e, physics=None) for e in small], "walker-walk")
    assert found(report)["alignment of actions"] == "skipped"
    assert "too few steps" in str(report)
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    register_task(Task("car", "MountainCarContinuous-v0"))
    car = [Episode(**random_rollout("car", seed)) for seed in range(2)]
    assert found(check(car, "car"))["alignment of actions"] == "passed"
    late = check([shift(e, action=1) for e in car], "car")
    assert found(late)["alignment of actions"] == "failed"
    assert found(late)["alignment of rewards"] == "skipped"  # it pays for the action, not for the state
