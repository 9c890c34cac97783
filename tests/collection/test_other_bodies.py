"""From nothing to a training on two tasks of another body: collected, checked, shared with recomputed rewards."""

import pytest

import hcsac
from hcsac.collection import CollectSettings, collect
from hcsac.data.checks import check
from hcsac.training import RunDirectory


@pytest.fixture(scope="module")
def cheetahs(tmp_path_factory):
    """One episode each of learners that begin to learn in its middle."""
    store = tmp_path_factory.mktemp("minari")
    settings = CollectSettings(keep="all", steps=8, hidden_size=8, batch_size=8, random_steps=700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(store))
        names = [
            name
            for task in ("cheetah-run", "cheetah-run_backward", "cartpole-balance")
            for name in collect(task, "lab", store.parent / task, settings, progress=False)
        ]
    return store, names


def test_the_checks_find_nothing(cheetahs, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(cheetahs[0]))
    for name in cheetahs[1]:
        report = check(name, steps=100)
        assert not report.findings, str(report)
        assert "replayed in the simulator" in str(report)


def test_two_tasks_share_with_recomputed_rewards(cheetahs, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(cheetahs[0]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = hcsac.preset("quick", "hcsac").replace(
        {
            "updates": 4, "sharing": "all", "reward_rule": "recompute", "share_interval": 1, "hidden_size": 8,
            "batch_size": 1000, "cql_samples": 2, "final_episodes": 1, "device": "cpu",
        }
    )  # fmt: skip
    data = hcsac.load(cheetahs[1][:2])
    run = hcsac.train("hcsac", data, tmp_path / "run", settings, [0], progress=False)
    last = {(line["from"], line["to"]): line for line in RunDirectory(run.path).lines("sharing.jsonl")}
    assert len(last) == 2
    for line in last.values():
        assert line["borrowed"] == 1000
        assert line["claimed_reward"] == pytest.approx(line["true_reward"])
