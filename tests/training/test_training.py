"""Runs: what they leave, that they continue exactly, and that nothing is written over."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hcsac.agents import preset
from hcsac.data.dataset import Dataset
from hcsac.errors import UserError
from hcsac.training import RunDirectory, checkpoint, evaluate, learning_curve, load_policy, loop, summary, train
from tests.conftest import slide_episodes

TINY = {
    "hidden_size": 8,
    "hidden_layers": 2,
    "batch_size": 16,
    "cql_samples": 2,
    "updates": 24,
    "evaluate_interval": 1,
    "share_interval": 1,
    "share_quantile": 0.5,
    "evaluation_episodes": 2,
    "final_episodes": 3,
    "log_interval": 2,
    "device": "cpu",
}  # fmt: skip  (96 rows in batches of 16: an epoch is 6 updates)


def settings(agent="hcsac", **changes):
    return preset("slides", agent).replace(TINY | changes)


def tree(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def finished(slides, tmp_path):
    return train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)


def test_leaves_the_documented_files(finished, slides):
    identity = finished.identity()
    assert identity["fingerprint"] == slides.fingerprint()
    assert identity["settings"] == settings().as_dict()
    assert [r["update"] for r in lines(finished.path / "metrics.jsonl") if r["seed"] == 1] == list(range(2, 25, 2))
    evaluations = lines(finished.path / "evaluations.jsonl")
    assert {r["update"] for r in evaluations} == {6, 12, 18, 24}
    assert {len(r["returns"]) for r in evaluations if r["update"] == 24} == {3}
    flows = lines(finished.path / "sharing.jsonl")
    assert {(r["from"], r["to"]) for r in flows} == {("slide-left", "slide-right"), ("slide-right", "slide-left")}
    assert all(0 <= r["borrowed"] <= r["offered"] == 48 and np.isfinite(r["threshold"]) for r in flows)
    assert list((finished.path / "tensorboard").glob("events*"))
    assert finished.finished
    documented = {"run.json", "result.json", "metrics.jsonl", "evaluations.jsonl", "sharing.jsonl",
                  "checkpoint.safetensors", "tensorboard"}  # fmt: skip
    assert {p.name for p in finished.path.iterdir()} == documented
    for content in tree(finished.path).values():  # a pickle, or the archive that torch.save makes of one
        assert content[:2] not in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def test_schedule_is_counted_in_epochs_of_the_rows_of_d(slides, tmp_path):
    """96 rows in batches of 20 are 5 updates an epoch, also when D* has grown."""
    short = settings(batch_size=20, updates=None, epochs=3, evaluate_interval=2, share_interval=1)
    run = train("hcsac", slides, tmp_path / "run", short, progress=False)
    assert sorted({r["update"] for r in lines(run.path / "evaluations.jsonl")}) == [10, 15]
    assert sorted({r["update"] for r in lines(run.path / "sharing.jsonl")}) == [5, 10, 15]
    assert run.read_json("result.json")["updates"] == 15


def test_settings_reach_what_they_set(slides, tmp_path):
    given = settings(discount=0.5, reward_rule="zero", standardise_observations=True)
    training = loop._Training("hcsac", slides, given, [0, 1], RunDirectory(tmp_path))
    assert set(training.active.discount.tolist()) == {0.5}
    foreign = training.active.reward[torch.arange(96), 1 - training.active.task]
    assert (foreign == 0).all()
    torch.testing.assert_close(training.agent.scaling.std, torch.tensor(slides.observation.std(0)))
    noise, batches = training.agent.noise_generators, training.active.generators
    assert len({g.initial_seed() for g in [*noise, *batches]}) == 4


def test_a_constant_column_is_not_blown_up(slides):
    flat = slides.observation.copy()
    flat[:, 1] = 7.0
    mean, std = loop._statistics(replace(slides, observation=flat), True)
    assert (mean[1], std[1]) == (7.0, 1.0)


def test_the_default_is_the_slides_preset(slides, tmp_path, monkeypatch):
    monkeypatch.setattr(loop._Training, "loop", lambda self, progress: None)
    run = train("hcsac", slides, tmp_path / "run", progress=False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert run.identity()["settings"] == preset("slides", "hcsac").replace({"device": device}).as_dict()


def test_each_replica_is_the_run_with_its_seed(finished, slides, tmp_path):
    alone = train("hcsac", slides, tmp_path / "alone", settings(), seeds=(1,), progress=False)
    for name in ("metrics.jsonl", "sharing.jsonl", "evaluations.jsonl"):
        together = [r for r in lines(finished.path / name) if r["seed"] == 1]
        for both, one in zip(together, lines(alone.path / name), strict=True):
            assert both.keys() == one.keys()
            for key, value in one.items():
                assert both[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-4, abs=1e-4)), key


def test_d_star_is_algorithm_1_of_the_last_critics(slides, tmp_path, monkeypatch):
    """Sharing and checkpoint fall on one update, so the saved critics are those that chose; scored in pieces."""
    monkeypatch.setattr(loop, "SCORING_ROWS", 7)
    run = train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)
    state, update = checkpoint.load(run.checkpoint)
    assert update == 24
    agent = load_policy(run.path)._agent
    flows = [r for r in lines(run.path / "sharing.jsonl") if r["update"] == 24]
    for r in (0, 1):
        expected, near = set(), set()
        for i in (0, 1):
            q = agent.score(torch.tensor(slides.observation), torch.tensor(slides.action), i)[r].numpy()
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


class Stop(Exception):
    pass


def stop_at(call, count):
    """`call`, which breaks off when it is called for the time after `count`."""
    calls = iter(range(10_000))

    def breaking(*arguments, **named):
        if next(calls) == count:
            raise Stop
        return call(*arguments, **named)

    return breaking


def in_update(patch, count):
    make = loop.make_agent

    def fragile(*arguments, **named):
        agent = make(*arguments, **named)
        agent.update = stop_at(agent.update, count)
        return agent

    patch.setattr(loop, "make_agent", fragile)


def before_result(patch, _):
    write = RunDirectory.write_json

    def fragile(self, name, content):
        if name == "result.json":
            raise Stop
        write(self, name, content)

    patch.setattr(RunDirectory, "write_json", fragile)


PLACES = {  # updates are logged every 2nd, shared and evaluated every 6th
    "before the first checkpoint": lambda patch: in_update(patch, 3),
    "between evaluations": lambda patch: in_update(patch, 15),
    "in an evaluation": lambda patch: patch.setattr(loop.Evaluator, "__call__", stop_at(loop.Evaluator.__call__, 2)),
    "after an evaluation is logged": lambda patch: patch.setattr(checkpoint, "save", stop_at(checkpoint.save, 2)),
    "while sharing": lambda patch: patch.setattr(loop, "share", stop_at(loop.share, 2)),
    "in the last evaluation": lambda patch: patch.setattr(
        loop.Evaluator, "__call__", stop_at(loop.Evaluator.__call__, 3)
    ),
    "after the last checkpoint": lambda patch: before_result(patch, 0),
}


@pytest.mark.parametrize(
    ("agent", "place"),
    [*(("hcsac", place) for place in PLACES), ("bc", "between evaluations"), ("mtcsac", "between evaluations")],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(agent, place, slides, tmp_path):
    given = {"settings": settings(agent), "seeds": (0, 5), "progress": False}
    whole = train(agent, slides, tmp_path / "whole", **given)
    with pytest.MonkeyPatch.context() as patch:
        PLACES[place](patch)
        with pytest.raises(Stop):
            train(agent, slides, tmp_path / "broken", **given)
    assert not RunDirectory(tmp_path / "broken").finished
    if (tmp_path / "broken" / "metrics.jsonl").exists():
        with open(tmp_path / "broken" / "metrics.jsonl", "a") as file:
            file.write('{"update": 15, "se')  # killed while writing
    broken = train(agent, slides, tmp_path / "broken", resume=True, **given)

    assert broken.finished
    assert broken.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    records = {p.name: p.read_text() for p in whole.path.glob("*.jsonl")}
    assert {p.name: p.read_text() for p in broken.path.glob("*.jsonl")} == records
    assert set(records) == {"metrics.jsonl", "evaluations.jsonl"} | ({"sharing.jsonl"} if agent == "hcsac" else set())
    for name in records:
        updates = [r["update"] for r in lines(broken.path / name)]
        assert updates == sorted(updates)


def test_records_of_a_run_cut_off_while_writing_can_be_read(finished):
    before = learning_curve(finished, "slide-left")[1]
    with open(finished.path / "evaluations.jsonl", "a") as file:
        file.write('{"update": 30, "task": "slide-le')
    np.testing.assert_array_equal(learning_curve(finished, "slide-left")[1], before)
    assert "after 24 updates" in summary(finished)


def test_an_evaluation_that_lacks_a_seed_is_not_part_of_the_curve(finished):
    finished.append("evaluations.jsonl", [{"update": 30, "seed": 0, "task": "slide-left", "returns": [1.0]}])
    assert learning_curve(finished, "slide-left")[0].tolist() == [6, 12, 18, 24]


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, 7)

    def half(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, {"a": torch.zeros(3)}, 8)
    state, update = checkpoint.load(path)
    assert (state["a"].tolist(), update) == ([1, 1, 1], 7)


def test_parts_of_a_state_join_and_part_again():
    parts = {"agent": {"x.1": torch.ones(1), "agent/y": torch.zeros(1)}, "active": {"x.1": torch.zeros(2)}}
    joined = checkpoint.join(**parts)
    assert {name: checkpoint.part(joined, name) for name in parts} == parts


def test_a_finished_run_is_returned_untouched(finished, slides):
    before = tree(finished.path)
    train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
    assert tree(finished.path) == before


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({}, "already holds a run.*--resume"),
        ({"resume": True, "seeds": (0, 2)}, "holds another run: its seeds"),
        ({"resume": True, "settings": settings(discount=0.5)}, "its setting discount is 0.99, not 0.5"),
        ({"resume": True, "agent": "mtcsac", "settings": settings("mtcsac")}, "its agent is 'hcsac'"),
        ({"resume": True, "data": lambda d: replace(d, reward=d.reward + 1)}, "its fingerprint is"),
        ({"resume": True, "data": lambda d: d.select(["slide-right", "slide-left"])}, "its tasks is"),
    ],
)
def test_another_run_is_refused_and_nothing_is_touched(finished, slides, call, says):
    before = tree(finished.path)
    given = {"agent": "hcsac", "settings": settings(), "seeds": (0, 1), "progress": False} | call
    data = given.pop("data", lambda d: d)(slides)
    with pytest.raises(UserError, match=says):
        train(given.pop("agent"), data, finished.path, **given)
    assert tree(finished.path) == before


def test_a_foreign_directory_is_refused(slides, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for place, says in [
        (tmp_path, "exists and is not a run"),
        (tmp_path / "thesis.tex", "exists and is not a run"),
        (tmp_path / "thesis.tex" / "run", "cannot write to"),
    ]:
        for resume in (False, True):
            before = tree(tmp_path)
            with pytest.raises(UserError, match=says):
                train("bc", slides, place, settings("bc"), resume=resume, progress=False)
            assert tree(tmp_path) == before


def test_an_empty_directory_is_taken(slides, tmp_path):
    (tmp_path / "run").mkdir()
    assert train("bc", slides, tmp_path / "run", settings("bc", updates=2), progress=False).finished


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"agent": "hcsak"}, "did you mean 'hcsac'"),
        ({"agent": "csac"}, "csac learns one task"),
        ({"seeds": ()}, "each given once"),
        ({"seeds": (1, 1)}, "each given once"),
        ({"seeds": (-1,)}, "from 0 to"),
        ({"seeds": (2**60,)}, "from 0 to"),
        ({"alignment": "of_by_one"}, "did you mean 'off_by_one'"),
        ({"data": ["lab/none-v0"]}, "lab/none-v0"),
        ({"data": Dataset.from_episodes({"slide-lift": slide_episodes("slide-left")})}, "did you mean 'slide-left'"),
        ({"data": Dataset.from_episodes({"walker-walk": slide_episodes("slide-left")})},
         "observation size is 3 in the data, but 24 in task 'walker-walk'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(slides, tmp_path, changes, says):
    before = tree(tmp_path)
    given = {"agent": "hcsac", "data": slides, "settings": settings(), "progress": False} | changes
    with pytest.raises(UserError, match=says) as caught:
        train(given.pop("agent"), given.pop("data"), tmp_path / "run", **given)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_said_so_and_left_alone(finished, slides):
    (finished.path / "result.json").unlink()
    whole = finished.checkpoint.read_bytes()
    for damage in (whole[:100], whole[:-10], b"", b"x" * 1000):
        finished.checkpoint.write_bytes(damage)
        before = tree(finished.path)
        with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged"):
            load_policy(finished.path)
        with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged"):
            train("hcsac", slides, finished.path, settings(), seeds=(0, 1), resume=True, progress=False)
        assert tree(finished.path) == before
    save_file({"a": torch.zeros(1)}, finished.checkpoint)  # somebody else's
    with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged"):
        load_policy(finished.path)


def test_a_directory_that_is_no_run_or_not_far_enough(finished, tmp_path):
    with pytest.raises(UserError, match=r"holds no run\.json"):
        load_policy(tmp_path / "nowhere")
    finished.checkpoint.unlink()
    with pytest.raises(UserError, match="holds no checkpoint yet"):
        load_policy(finished.path)
    for damage in ("{", "[]", ""):
        (finished.path / "run.json").write_text(damage)
        with pytest.raises(UserError, match=r"run\.json is damaged"):
            evaluate(finished.path)


def test_policy_acts(finished):
    policy = load_policy(finished.path)
    one = policy.act(np.zeros(3), "slide-left")
    many = policy.act(np.zeros((4, 3)), "slide-left", seed=0)
    assert one.shape == (2,)
    assert many.shape == (4, 2)
    np.testing.assert_allclose(many, np.tile(one, (4, 1)), rtol=1e-6)
    assert not np.array_equal(one, policy.act(np.zeros(3), "slide-left", seed=1))
    with pytest.raises(UserError, match="did you mean 'slide-left'"):
        policy.act(np.zeros(3), "slide-lift")
    with pytest.raises(UserError, match="reads 3 numbers"):
        policy.act(np.zeros(5), "slide-left")
    with pytest.raises(UserError, match="unknown seed"):
        policy.act(np.zeros(3), "slide-left", seed=7)


def test_policy_acts_by_task_and_seed(finished):
    policy = load_policy(finished.path)
    observation = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for m, task in enumerate(policy.tasks):
        every = policy.act_all(np.stack([observation] * 2), np.full((2, 5), m))
        for r, seed in enumerate(policy.seeds):
            np.testing.assert_array_equal(policy.act(observation, task, seed), every[r])
    left, right = (policy.act(observation, task) for task in policy.tasks)
    assert not np.array_equal(left, right)
    assert abs(policy.act(1e6 * observation, "slide-left")).max() <= 1
    assert policy.act(np.zeros((0, 3)), "slide-left").shape == (0, 2)
    for wrong in (0.0, np.zeros((2, 2, 3)), np.zeros((3, 2))):
        with pytest.raises(UserError, match="reads 3 numbers"):
            policy.act(wrong, "slide-left")


def test_evaluation_of_a_run_repeats_its_last_one(finished):
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["update"] == 24]
    last = [[r["returns"] for r in records if r["seed"] == seed] for seed in (0, 1)]
    np.testing.assert_allclose(evaluate(finished.path, episodes=3), last, atol=1e-3)


def test_curve_and_summary(finished):
    updates, returns = learning_curve(finished, "slide-left")
    assert updates.tolist() == [6, 12, 18, 24]
    assert returns.shape == (4, 2)
    records = [r for r in lines(finished.path / "evaluations.jsonl") if r["task"] == "slide-left" and r["seed"] == 1]
    np.testing.assert_allclose(returns[:, 1], [np.mean(r["returns"]) for r in records])
    text = summary(finished)
    assert "after 24 updates" in text
    assert f"slide-left {returns.max(0).mean():.1f}" in text.splitlines()[-1]
    assert text.splitlines()[-1].startswith("best of run")


def test_standardised_observations_travel_with_the_policy(slides, tmp_path):
    run = train("bc", slides, tmp_path / "run", settings("bc", standardise_observations=True), progress=False)
    scaling = load_policy(run.path)._agent.scaling
    torch.testing.assert_close(scaling.mean, torch.tensor(slides.observation.mean(0)))
    torch.testing.assert_close(scaling.std, torch.tensor(slides.observation.std(0)), rtol=1e-4, atol=1e-5)


def test_off_by_one_is_part_of_what_a_run_is(slides, tmp_path):
    train("bc", slides, tmp_path / "run", settings("bc"), progress=False)
    with pytest.raises(UserError, match="its alignment is 'correct', not 'off_by_one'"):
        train("bc", slides, tmp_path / "run", settings("bc"), alignment="off_by_one", resume=True, progress=False)
