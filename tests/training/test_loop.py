"""Training: its schedule, what it leaves, replicas, and Algorithm 1 inside it."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from hcsac.algorithms import preset, resolve
from hcsac.data import load, store
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.evaluation import rollout
from hcsac.policy import evaluate, load_policy
from hcsac.sharing.drawing import sparse_rows
from hcsac.tasks import SimulatorError, Task, register_task, registry
from hcsac.training import Callback, RunDirectory, checkpoint, loop, setup, summary, train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import agent_of, lines, off_by_one, settings, tree


def test_leaves_the_documented_files(finished, slides):
    identity = finished.identity()
    assert identity["fingerprint"] == slides.fingerprint()
    assert identity["settings"] == resolve("hcsac", settings(), TASKS).as_dict()
    assert [r["update"] for r in lines(finished.path / "metrics.jsonl") if r["seed"] == 1] == list(range(2, 25, 2))
    evaluations = lines(finished.path / "evaluations.jsonl")
    assert {r["update"] for r in evaluations} == {6, 12, 18, 24}
    assert {len(r["returns"]) for r in evaluations if r["update"] == 24} == {3}
    flows = lines(finished.path / "sharing.jsonl")
    assert {(r["from"], r["to"]) for r in flows} == {("slide-left", "slide-right"), ("slide-right", "slide-left")}
    assert all(0 <= r["borrowed"] <= r["offered"] == 48 and np.isfinite(r["threshold"]) for r in flows)
    assert list((finished.path / "tensorboard").glob("events*"))
    assert finished.finished
    documented = {"run.json", "result.json", "metrics.jsonl", "evaluations.jsonl", "sharing.jsonl", "sharing",
                  "checkpoint.safetensors", "tensorboard", ".lock"}  # fmt: skip
    assert {p.name for p in finished.path.iterdir()} == documented
    for content in tree(finished.path).values():  # a pickle, or the archive that torch.save makes of one
        assert content[:2] not in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def test_remembers_what_the_logged_episodes_returned(finished, slides, tmp_path):
    held = finished.identity()["behaviour_returns"]
    for task in TASKS:
        np.testing.assert_allclose(held[task], slides.episode_returns[task], atol=5e-5)
        assert np.mean(held[task]) == pytest.approx(slides.mean_returns[task], abs=1e-4)
    shifted = train("bc", off_by_one(), tmp_path / "shifted", settings("bc"), progress=False)
    assert "behaviour_returns" not in shifted.identity()  # the rows' rewards are not what the episodes earned


def test_the_record_states_the_alignment_and_the_names_of_the_data_themselves(tmp_path):
    for name in TASKS:
        store.write(f"lab/{name}-v0", name, slide_episodes(name))
    refs = [f"lab/{name}-v0" for name in TASKS]
    small = settings("bc", updates=2)
    for number, data in enumerate(
        [load(refs, alignment="off_by_one"), load(refs), refs, load(refs).select([*TASKS][1:])]
    ):
        record = train("bc", data, tmp_path / str(number), small, progress=False).identity()
        assert record["alignment"] == ("correct" if number else "off_by_one")
        assert record["data"] == (refs[1:] if number == 3 else refs)
        logged = {name: np.array([e.episode_return for e in slide_episodes(name)]) for name in record["tasks"]}
        assert record["behaviour"] == pytest.approx({name: float(of.mean()) for name, of in logged.items()})
        assert ("behaviour_returns" in record) == (record["alignment"] == "correct")
        for name, returns in record.get("behaviour_returns", {}).items():
            np.testing.assert_allclose(returns, logged[name], atol=5e-5)


def test_schedule_is_counted_in_epochs_of_the_rows_of_d(slides, tmp_path):
    """96 rows in batches of 20 are 5 updates an epoch, also when D* has grown."""
    short = settings(batch_size=20, updates=None, epochs=3, evaluate_interval=2, share_interval=1)
    run = train("hcsac", slides, tmp_path / "run", short, progress=False)
    assert sorted({r["update"] for r in lines(run.path / "evaluations.jsonl")}) == [10, 15]
    assert sorted({r["update"] for r in lines(run.path / "sharing.jsonl")}) == [5, 10, 15]
    assert run.read_json("result.json")["updates"] == 15


@pytest.mark.parametrize(
    ("changes", "start", "end"),
    [
        ({"share_interval": 0.25}, False, False),  # six of 24 updates, where an epoch has six
        ({"share_interval": 4}, True, True),  # what is shared after the last update serves nobody
        ({"sharing": "none", "share_interval": 4}, False, False),
        ({"sharing": "all", "share_interval": 4}, False, False),  # once, before the first update
    ],
)
def test_what_shares_nothing_says_so(slides, tmp_path, capsys, changes, start, end):
    run = train("hcsac", slides, tmp_path / "run", settings(**changes))
    assert ("its first step would come after 24 of 24 updates" in capsys.readouterr().err) == start
    assert (
        any("no transition of another task was used" in note for note in run.read_json("result.json")["notes"]) == end
    )


def test_one_task_has_none_to_share_with(tmp_path):
    data = Dataset.from_episodes({"slide-left": slide_episodes("slide-left")})
    assert (
        train("td3_bc", data, tmp_path / "run", settings("td3_bc", sharing="all")).read_json("result.json")["notes"]
        == []
    )


def test_settings_reach_what_they_set(slides, tmp_path):
    given = settings(discount=0.5, reward_rule="zero", standardise_observations=True)
    training = setup.set_up("hcsac", slides, resolve("hcsac", given, TASKS), [0, 1], RunDirectory(tmp_path))
    assert training.active.discount == 0.5
    foreign = training.active.reward[torch.arange(96), 1 - training.active.task]
    assert (foreign == 0).all()
    torch.testing.assert_close(training.algorithm.scaling.std, torch.tensor(slides.observation.std(0)))
    noise, batches = training.algorithm.random.generators, training.active.generators
    assert len({g.initial_seed() for g in [*noise, *batches]}) == 4


def test_recomputed_rewards_reach_the_sampler(slides, tmp_path, priced):
    priced(lambda state, action: 100 + state[:, 0])
    training = setup.set_up("hcsac", slides, settings(reward_rule="recompute"), [0], RunDirectory(tmp_path))
    own = training.active.reward[torch.arange(96), training.active.task]
    foreign = training.active.reward[torch.arange(96), 1 - training.active.task]
    np.testing.assert_array_equal(own, slides.reward)
    np.testing.assert_allclose(foreign, 100 + slides.next_observation[:, 0], rtol=1e-6)
    run = train("hcsac", slides, tmp_path / "run", settings(reward_rule="recompute"), progress=False)
    assert run.finished
    assert lines(run.path / "metrics.jsonl")[-1]["target"] > 10  # half of what is sampled is shared by now


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (None, "rewards of task 'slide-left' cannot be recomputed"),
        (lambda state, action: state[:, :1], r"returned shape \[48, 1\] for 48 transitions"),
        (lambda state, action: np.where(state[:, 0] > state[:, 0].mean(), np.nan, 0), "returned NaN"),
        (lambda state, action: np.zeros(96), r"returned shape \[96\] for 48 transitions"),
    ],
)
def test_bad_rewards_leave_nothing_behind(reward, message, slides, tmp_path, priced):
    priced(reward)
    with pytest.raises(UserError, match=message):
        train("hcsac", slides, tmp_path / "run", settings(reward_rule="recompute"), progress=False)
    assert not (tmp_path / "run").exists()


def test_without_sharing_no_rewards_are_needed(slides, tmp_path):
    given = settings("hcsac", sharing="none", reward_rule="recompute", updates=2)
    assert train("hcsac", slides, tmp_path / "run", given, progress=False).finished


def test_settings_of_sharing_reach_what_they_set(slides, tmp_path):
    given = resolve("hcsac", settings(own_fraction=0.25, sharing="cds", cds_soft=True), TASKS)
    training = setup.set_up("hcsac", slides, given, [0], RunDirectory(tmp_path))
    assert (training.active.own_fraction, training.active.weighted) == (0.25, True)
    assert (training.sharer.rule.name, training.sharer.updates) == ("cds", 6)
    assert (training.sharer.settings.cds_quantile, training.sharer.settings.cds_decay) == (0.9, 0.995)


def test_settings_of_drawing_reach_what_they_set(slides, tmp_path):
    plain = setup.set_up("bc", slides, resolve("bc", settings("bc"), TASKS), [0], RunDirectory(tmp_path))
    assert plain.active.row_weight is None
    given = resolve("bc", settings("bc", start_weight=8, start_steps=3, sparse_weight=4), TASKS)
    weight = setup.set_up("bc", slides, given, [0], RunDirectory(tmp_path)).active.row_weight
    step, sparse = np.arange(96) % 12, sparse_rows(slides)
    product = np.where(step < 3, 8.0, 1.0) * np.where(sparse, 4, 1)
    expected = product.reshape(2, 48) / product.reshape(2, 48).mean(1, keepdims=True)
    np.testing.assert_allclose(weight, expected.ravel())
    assert 0 < sparse.sum() <= 10


def test_a_task_of_one_episode_has_no_sparse_rows(tmp_path):
    data = Dataset.from_episodes({"slide-left": slide_episodes("slide-left", count=1)})
    with pytest.raises(UserError, match="'slide-left' has only one"):
        train("bc", data, tmp_path / "run", settings("bc", sparse_weight=2), progress=False)
    assert not (tmp_path / "run").exists()


def test_the_default_is_the_preset_best(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Loop, "__call__", lambda *_: None)
    run = train("hcsac", slides, tmp_path / "run", progress=False)
    assert run.identity()["given"] == preset("best", "hcsac").as_dict()
    assert run.identity()["settings"] == resolve("hcsac", preset("best", "hcsac"), slides.task_names).as_dict()


@pytest.mark.parametrize("drawing", [{}, {"start_weight": 8, "start_steps": 3, "sparse_weight": 4}], ids=str)
def test_each_replica_is_the_run_with_its_seed(drawing, slides, tmp_path):
    both = train("hcsac", slides, tmp_path / "both", settings(**drawing), seeds=(0, 1), progress=False)
    alone = train("hcsac", slides, tmp_path / "alone", settings(**drawing), seeds=(1,), progress=False)
    for name in ("metrics.jsonl", "sharing.jsonl", "evaluations.jsonl"):
        together = [r for r in lines(both.path / name) if r["seed"] == 1]
        for one_of_two, one in zip(together, lines(alone.path / name), strict=True):
            assert one_of_two.keys() == one.keys()
            for key, value in one.items():
                exact = value is None or isinstance(value, str)
                assert one_of_two[key] == (value if exact else pytest.approx(value, rel=1e-4, abs=1e-4)), key


def test_d_star_is_algorithm_1_of_the_last_critics(slides, tmp_path, monkeypatch):
    """Sharing and checkpoint fall on one update, so the saved critics are those that chose; scored in chunks."""
    monkeypatch.setattr(loop, "SCORING_ROWS", 7)
    run = train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)
    state, update = checkpoint.load(run.checkpoint)
    assert update == 24
    agent = agent_of(run)
    flows = [r for r in lines(run.path / "sharing.jsonl") if r["update"] == 24]
    for r in (0, 1):
        expected, near = set(), set()
        for i in (0, 1):
            q = agent.values(torch.tensor(slides.observation), torch.tensor(slides.action), i)[r].numpy()
            tau = np.median(q[slides.task == i])  # share_quantile is 0.5
            expected |= {(n, i) for n in range(96) if slides.task[n] != i and q[n] >= tau}
            near |= {(n, i) for n in range(96) if abs(q[n] - tau) < 1e-4}
            (flow,) = [f for f in flows if f["seed"] == r and f["to"] == slides.task_names[i]]
            assert flow["threshold"] == pytest.approx(tau, abs=1e-4)
            assert flow["offered"] == 48
        pairs = zip(
            state[f"active/borrowed.{r}.row"].tolist(), state[f"active/borrowed.{r}.task"].tolist(), strict=True
        )
        got = list(pairs)
        assert len(got) == len(set(got)) == sum(f["borrowed"] for f in flows if f["seed"] == r) > 0
        assert set(got) ^ expected <= near


def test_a_robot_without_a_simulator_is_trained_and_not_evaluated(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    for name, like in (("lab-left", "slide-left"), ("lab-right", "slide-right")):
        register_task(Task(name))
        store.write(f"lab/{name}-v0", name, slide_episodes(like))
    refs = ["lab/lab-left-v0", "lab/lab-right-v0"]
    run = train("hcsac", refs, tmp_path / "run", settings(), seeds=(0,), progress=False)
    assert run.finished
    assert not list(run.lines("evaluations.jsonl"))
    assert list(run.lines("sharing.jsonl"))
    assert "not evaluated" in summary(run)
    simulated = train("hcsac", slides, tmp_path / "twin", settings(), seeds=(0,), progress=False)
    state = np.ones(3, np.float32)
    np.testing.assert_array_equal(  # nothing but the judging differs
        load_policy(run.path).act(state, "lab-right"), load_policy(simulated.path).act(state, "slide-right")
    )
    with pytest.raises(UserError, match="'lab-left' has no simulator"):
        evaluate(run.path)


def test_a_callback_finds_all_that_came_before_a_checkpoint_written(slides, tmp_path):
    seen = []

    class Look(Callback):
        def on_start(self, run, start, total):
            self.run = run

        def on_checkpoint(self, update):
            at = checkpoint.load(self.run.checkpoint)[1]
            assert at == update
            last = {
                record["update"] for name in ("metrics.jsonl", "evaluations.jsonl") for record in self.run.tail(name)
            }
            (board,) = (self.run.path / "tensorboard").iterdir()
            steps = {event.step for event in EventFileLoader(str(board)).Load()}
            seen.append((at, last, max(steps), self.run.finished))

        def on_end(self, result):
            assert self.run.read_json("result.json") == result
            self.on_checkpoint(result["updates"])

    train("bc", slides, tmp_path / "run", settings("bc", updates=12), progress=False, callbacks=[Look()])
    assert seen == [(6, {6}, 6, False), (12, {12}, 12, False), (12, {12}, 12, True)]
    train("bc", slides, tmp_path / "run", settings("bc", updates=12), progress=False, callbacks=[Look()], resume=True)
    assert len(seen) == 3  # a finished run calls nothing


@pytest.mark.parametrize("update", [6, 24])
def test_an_evaluation_that_fails_is_recorded_and_loses_nothing(update, finished, slides, tmp_path, monkeypatch):
    evaluate = loop.Loop.evaluate

    def fragile(self, at):
        if at == update:
            raise SimulatorError("task 'slide-left': its simulator ended.")
        return evaluate(self, at)

    monkeypatch.setattr(loop.Loop, "evaluate", fragile)
    run = train("hcsac", slides, tmp_path / "mine", settings(), (0, 1), progress=False)
    assert run.checkpoint.read_bytes() == finished.checkpoint.read_bytes()
    [failure] = lines(run.path / "failures.jsonl")
    assert failure == {"update": update, "error": "task 'slide-left': its simulator ended."}
    left = {r["update"] for r in lines(run.path / "evaluations.jsonl")}
    assert left == {6, 12, 18, 24} - {update}
    if update == 24:
        assert run.read_json("result.json")["failure"] == "task 'slide-left': its simulator ended."
        assert "its last evaluation failed: task 'slide-left': its simulator ended. `hcsac evaluate" in summary(run)
    else:
        assert "last policy, after 24 updates" in summary(run)


def test_a_world_without_time_limit_is_told(slides, tmp_path, capsys, monkeypatch):
    gymnasium.register("tests/slide-endless-v0", entry_point="tests.conftest:Slide")
    register_task(Task("slide-endless", "tests/slide-endless-v0"))
    data = replace(slides, task_names=("slide-left", "slide-endless"))
    monkeypatch.setattr(rollout, "LONGEST", 20)
    train("bc", data, tmp_path / "mine", settings("bc"), progress=True)
    assert "slide-endless: without a time limit of the environment, episodes of evaluations end after 10,000 steps" in (
        capsys.readouterr().err
    )
    train("bc", data, tmp_path / "other", settings("bc", evaluation_steps=7), progress=True)
    assert "without a time limit" not in capsys.readouterr().err
