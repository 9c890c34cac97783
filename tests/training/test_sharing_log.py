"""The sharing log: what a sharing step writes, and that the uses of a transition can be read from it."""

import json

import numpy as np
import pytest
import torch

from hcsac.errors import UserError
from hcsac.experiments import transition_history_text
from hcsac.sharing import reward_table
from hcsac.sharing.selection import LEVELS, SharedTransitions
from hcsac.training import RunDirectory, checkpoint, train, transition_history
from hcsac.training.sharing_log import SharingLogWriter
from tests.training.conftest import agent_of, lines, settings, tree


def shared(source, target, rows, values, weight=None, threshold=float("nan"), temperature=float("nan")):
    own = np.array([1.0, 2, 3, 4, 5])
    rows, values = np.array(rows, np.int64), np.array(values, np.float32)
    return SharedTransitions(source, target, 48, rows, values, weight, threshold, temperature, own)


def write(tmp_path, data, steps, updates=(6,), reward=None, sharing="quantile", **named):
    """A sharing log of seeds 3 and 8, with these steps (of both seeds) at every update, and its records."""
    run = RunDirectory(tmp_path / "run")
    identity = {"agent": "hcsac", "seeds": [0], "tasks": list(data.task_names), "settings": {"sharing": sharing}}
    with run.writing(identity, resume=False):
        pass
    table = torch.tensor(data.reward)[:, None].expand(-1, 2) if reward is None else torch.tensor(reward)
    writer = SharingLogWriter(run, data, [3, 8], table, **{"valued": True} | named)
    for update in updates:
        run.append(
            "sharing.jsonl", writer.write(update, steps, lambda rows, task: table[rows, task].double().mean().item())
        )
    return run


def test_a_record_has_counts_values_and_rewards(slides, tmp_path):
    true = np.random.default_rng(0).normal(size=(96, 2))
    rows, values = [2, 5, 40], [7.0, 9.0, 8.0]
    steps = [[shared(0, 1, rows, values, threshold=6.5)], [shared(0, 1, [], [], threshold=99.0)]]
    run = write(tmp_path, slides, steps, true_reward=true)
    some, none = run.lines("sharing.jsonl")
    assert some == {
        "update": 6, "seed": 3, "from": "slide-left", "to": "slide-right", "offered": 48, "borrowed": 3,
        "threshold": 6.5, "temperature": None, "weight": None, "own_q": [1, 2, 3, 4, 5],
        "borrowed_q": pytest.approx([np.interp(2 * level, [0, 1, 2], [7, 8, 9]) for level in LEVELS]),
        "claimed_reward": pytest.approx(slides.reward[rows].mean(), rel=1e-6),
        "true_reward": pytest.approx(true[rows, 1].mean()),
    }  # fmt: skip
    assert (none["seed"], none["borrowed"], none["threshold"], none["offered"]) == (8, 0, 99.0, 48)
    assert none["borrowed_q"] is none["claimed_reward"] is none["true_reward"] is None


def test_nan_is_null_in_json(slides, tmp_path):
    broken = shared(0, 1, [1], [np.nan], threshold=np.nan)._replace(own_quantiles=np.full(5, np.nan))
    run = write(tmp_path, slides, [[broken], [broken]])
    (record, _) = run.lines("sharing.jsonl")
    assert record["own_q"] == record["borrowed_q"] == [None] * 5
    assert "NaN" not in (run.path / "sharing.jsonl").read_text()


@pytest.mark.parametrize("valued", [True, False])
def test_the_uses_of_every_transition_are_read_back(valued, slides, tmp_path):
    """Against the steps themselves, for all 96 transitions; at 12 others are shared for seed 3 than at 6."""
    random = np.random.default_rng(1)

    def all_shared():
        masks = random.random((2, 2, 48)) < 0.4
        return [[shared(j, 1 - j, 48 * j + np.flatnonzero(masks[r, j]), random.normal(size=masks[r, j].sum()),
                      threshold=-9.0) for j in (0, 1)] for r in (0, 1)]  # fmt: skip

    given = {6: all_shared(), 12: all_shared()}
    run = RunDirectory(tmp_path / "run")
    with run.writing(
        {"agent": "hcsac", "seeds": [0], "tasks": list(slides.task_names), "settings": {"sharing": "quantile"}},
        resume=False,
    ):
        pass
    reward = torch.rand(96, 2)  # as a reward rule that pays every task its own
    writer = SharingLogWriter(run, slides, [3, 8], reward, valued)
    for update, of_update in given.items():
        run.append("sharing.jsonl", writer.write(update, of_update, lambda rows, task: 0.0))
    for row in range(96):
        history = transition_history(run, row)
        assert (history.task, history.sharing_steps) == (slides.task_names[row // 48], 2)
        assert (history.episode, history.step) == (row % 48 // 12, row % 12)
        assert history.reward == pytest.approx(reward[row, row // 48].item())
        expected = [
            (update, (3, 8)[r], slides.task_names[one.target], one.value[list(one.row).index(row)],
             reward[row, one.target].item())
            for update, of_update in given.items() for r in (0, 1) for one in of_update[r] if row in one.row
        ]  # fmt: skip
        found = [(b.update, b.seed, b.task, b.value, b.assigned_reward) for b in history.uses]
        assert found == [e if valued else (*e[:3], None, e[4]) for e in expected]
        assert {(b.threshold, b.weight, b.weighted) for b in history.uses} <= {(-9.0, 1.0, False)}


def test_a_file_has_a_bit_for_each_candidate(slides, tmp_path):
    def size(steps, **named):
        run = write(tmp_path / str(len(list(tmp_path.iterdir()))), slides, [steps, []], **named)
        return (run.path / "sharing" / "6.safetensors").stat().st_size

    empty, full = shared(0, 1, [], []), shared(0, 1, range(48), np.zeros(48))
    assert size([empty], valued=False) == size([full], valued=False)
    header = 150
    assert size([full], valued=False) < 48 / 8 + header
    assert size([full]) < 48 / 8 + 4 * 48 + 2 * header


def test_the_sharing_log_of_a_run_is_what_it_trained_on(slides, tmp_path, priced):
    """The pairs of the last sharing step are those of the checkpoint, and their values those of the saved critics."""
    priced(lambda state, action: np.ones(len(state)))
    soft = settings(sharing="cds", cds_soft=True)
    run = train("hcsac", slides, tmp_path / "run", soft, seeds=(0, 1), progress=False)
    state, _ = checkpoint.load(run.checkpoint)
    agent = agent_of(run)
    q = [agent.values(torch.tensor(slides.observation), torch.tensor(slides.action), i).numpy() for i in (0, 1)]
    for r, seed in enumerate((0, 1)):
        index = {(n, i): w for n, i, w in zip(*(state[f"active/borrowed.{r}.{name}"].tolist()
                                                for name in ("row", "task", "weight")), strict=True)}  # fmt: skip
        assert len(index) == 96
        for row in range(0, 96, 7):
            (last,) = [b for b in transition_history(run, row).uses if (b.update, b.seed) == (24, seed)]
            i = slides.task_names.index(last.task)
            assert last.weighted
            assert last.weight == pytest.approx(index[row, i], abs=1e-6)
            assert last.value == pytest.approx(q[i][r, row], abs=1e-4)
            assert last.assigned_reward == slides.reward[row]
    for record in lines(run.path / "sharing.jsonl"):
        assert record["true_reward"] == 1.0
        assert record["offered"] == record["borrowed"] == 48
        assert 0 < record["weight"] < 1


@pytest.mark.parametrize("changes", [{"share_quantile": 1.0, "share": "slide-left:slide-right"}, {"sharing": "all"}])
def test_sharing_nothing_or_all_is_recorded(changes, slides, tmp_path):
    run = train("hcsac", slides, tmp_path / "run", settings(**changes), progress=False)
    records = lines(run.path / "sharing.jsonl")
    if "share" in changes:
        assert {(r["from"], r["to"]) for r in records} == {("slide-left", "slide-right")}
        assert all(transition_history(run, row).uses == [] for row in (48, 95))
        assert transition_history(run, 95).sharing_steps == 0
    else:
        assert {r["borrowed"] for r in records} == {48}
        assert [use.update for use in transition_history(run, 95).uses] == [0]  # once, before the first update


def test_tensorboard_shows_the_records(slides, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train("hcsac", slides, tmp_path / "run", settings(sharing="cds", cds_soft=True), seeds=[4], progress=False)
    board = EventAccumulator(str(run.path / "tensorboard"))
    board.Reload()
    records = [r for r in lines(run.path / "sharing.jsonl") if r["from"] == "slide-left"]
    for name in ("borrowed", "threshold", "temperature", "weight", "claimed_reward"):
        shown = board.Scalars(f"sharing/{name}/slide-left-to-slide-right/seed4")
        assert [(event.step, event.value) for event in shown] == [
            (record["update"], pytest.approx(record[name], rel=1e-6)) for record in records
        ]
    shown = board.Scalars("sharing/own_q_median/slide-left-to-slide-right/seed4")
    assert [event.value for event in shown] == pytest.approx([record["own_q"][2] for record in records])


def test_errors_of_the_sharing_log(finished, slides, tmp_path):
    for row in (-1, 96):
        with pytest.raises(UserError, match=f"transition {row} is not in the data of .*; choose one from 0 to 95"):
            transition_history(finished, row)
    other = train("mtcsac", slides, tmp_path / "other", settings("mtcsac", updates=2), progress=False)
    with pytest.raises(UserError, match="with sharing = 'none' it has shared no transitions so far"):
        transition_history(other, 0)
    for name in ("12.safetensors", "rows.safetensors"):
        (finished.path / "sharing" / name).write_bytes(b"\x00" * 40)
        with pytest.raises(UserError, match=f"{name} is corrupt"):
            transition_history(finished, 0)


def test_resuming_deletes_later_sharing_steps(finished):
    finished.forget_after(12)
    assert {path.name for path in (finished.path / "sharing").iterdir()} == {
        "6.safetensors", "12.safetensors", "rows.safetensors",
    }  # fmt: skip
    assert {record["update"] for record in finished.lines("sharing.jsonl")} == {6, 12}
    assert transition_history(finished, 0).sharing_steps == 2


def test_reading_the_sharing_log_changes_nothing(finished):
    before = tree(finished.path)
    transition_history(finished, 5)
    assert tree(finished.path) == before
    json.dumps(transition_history(finished, 5)._asdict())


def test_a_table_that_is_too_large_is_not_needed(tmp_path, monkeypatch):
    """The same weights and records; only what each transition was worth to another task is not kept."""
    refs = ["sample/walker-walk-medium-replay-v0", "sample/walker-run-medium-replay-v0"]
    changes = {"sharing": "all", "reward_rule": "recompute", "own_fraction": 0.5, "n_step": 3}
    small = settings("one_step", **changes, evaluation_steps=2, updates=8, candidates="0.1:all,inf:own")
    runs = []
    for name, largest in (("table", reward_table.LARGEST), ("drawn", 100)):
        monkeypatch.setattr(reward_table, "LARGEST", largest)
        runs.append(train("one_step", refs, tmp_path / name, small, progress=False))
    table, drawn = runs
    assert table.checkpoint.read_bytes() == drawn.checkpoint.read_bytes()
    for one, other in zip(table.lines("sharing.jsonl"), drawn.lines("sharing.jsonl"), strict=True):
        assert other["true_reward"] is None
        assert one["claimed_reward"] == pytest.approx(other["claimed_reward"])
    (use,) = transition_history(drawn, 5).uses
    assert use.assigned_reward is None
    assert transition_history(table, 5).uses[0].assigned_reward is not None
    assert "assigned reward not recorded" in transition_history_text(transition_history(drawn, 5))
