"""What the benchmarks count and compare with."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import hcsac
from benchmarks import (
    check_calibration,
    checks,
    choice,
    flops,
    logs,
    machine,
    many_tasks,
    rates,
    report,
    rules,
    studies,
)
from benchmarks.updates import A, S, ours, random_data, slides_settings, textbook
from hcsac.experiments.report import write_report
from hcsac.policy.fitted_q import FittedQSettings
from hcsac.tasks import Task, register_task, registry
from tests.data.checks.test_kinematics import swing

SMALL = {"hidden_size": 32, "batch_size": 16, "cql_samples": 4, "device": "cpu", "compile": "off"}


@pytest.mark.parametrize("agent", ["bc", "csac", "hcsac"])
def test_operations_are_those_that_torch_counts(agent):
    """Up to the embedding's own products, which the count leaves out."""
    settings = slides_settings(agent, {**SMALL, "embedding": "none"})
    update = ours(agent, settings, random_data(1 if agent == "csac" else 2, 2000))
    with FlopCounterMode(display=False) as counter:
        update()
    counted = flops.of_bc(settings, S, A) if agent == "bc" else flops.of_conservative_sac(settings, S, A)
    assert counter.get_total_flops() == counted


@pytest.mark.parametrize("agent", ["bc", "hcsac"])
def test_the_textbook_update_learns(agent):
    data = random_data(2, 2000)
    torch.manual_seed(0)
    step = textbook(agent, slides_settings(agent, SMALL), data)
    made = step.__closure__
    assert made is not None
    actor = next(cell.cell_contents for cell in made if hasattr(cell.cell_contents, "actor")).actor
    before = [p.clone() for p in actor.parameters()]
    for _ in range(3):
        step()
    assert all(torch.isfinite(p).all() for p in actor.parameters())
    assert all(not torch.equal(p, q) for p, q in zip(actor.parameters(), before, strict=True))


def test_medians_are_per_repeat_and_interleaved():
    order = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    seconds = machine.interleave(calls, rounds=3, repeats={"a": 2, "b": 1})
    assert "".join(order) == "aab" * 3
    assert all(0 <= value < 1 for value in seconds.values())


def test_rates_of_the_reward_table():
    found = rates.rewards(2000, rounds=1)
    assert len(found) == 3
    assert found["one column"] > 10 * found["one column, by the simulator"] > 0


def test_a_synthetic_study_is_reported_as_a_real_one(tmp_path):
    record = studies.made_up(tmp_path / "study", count=7, checkpoints=3, episodes=2)
    written = write_report(record, videos=False)
    assert len(written.summary.tasks) == 2 * 2  # 5 seeds of the first variant, 2 of the second, 2 tasks
    assert written.page.stat().st_size > 4_000_000


def test_the_page_shows_what_was_measured(tmp_path):
    described = {"processor": "P", "cores": 2, "threads": 1, "memory_gib": 24, "instructions": ["avx2"], "gpu": None}
    record = {"machine": {**described, "python": "3", "torch": "2"}, "result": {"plain": 1234.5}}
    (tmp_path / "environments.json").write_text(json.dumps(record))
    page = report.page(tmp_path)
    assert "| plain | 1,234.5 |" in page
    assert "P (avx2), 2 cores" in page
    assert "Updates at" not in page


def test_candidates_are_measured_as_each_rule_chooses_them(slides, tmp_path, monkeypatch):
    """A bold candidate has the higher estimate; on narrow logs only the careful one may act."""
    settings = hcsac.preset("best", "one_step").replace(
        {"updates": 20, "hidden_size": 8, "critics": 2, "batch_size": 8, "candidates": "0.1:own,inf:own", "actors": 1,
         "final_episodes": 1, "narrow_spread": 1e9}
    )  # fmt: skip
    run = hcsac.train("one_step", slides, tmp_path / "run", settings, (3,), progress=False)
    estimate = torch.tensor([2.0, 1.0])[None, :, None, None].expand(1, 2, 2, 8)
    monkeypatch.setattr(choice.OneStep, "estimates", lambda self, start, task: estimate[..., : len(start)])
    records = choice.of_run(run.path, slides, 3)
    assert [record["task"] for record in records] == list(slides.task_names)
    for record in records:
        assert record["chosen"] == {"fqe, bold everywhere": 0, "fqe": 1, "behaviour-safe": 1}
    kept = json.loads((run.path / choice.RETURNS).read_text())
    assert set(kept) == {"0.1:own", "inf:own"}
    assert {len(returns) for tasks in kept.values() for returns in tasks.values()} == {3}
    assert kept["0.1:own"] != kept["inf:own"]
    table = choice.markdown(records)
    for record in records:
        best = max(record["returns"])
        regret = [best - record["returns"][c] for c in record["chosen"].values()]
        assert f"| {record['returns'][record['chosen']['fqe']]:.0f} (`inf:own`) |" in table
        assert min(regret) == 0
    assert choice.of_run(run.path, slides, 3) == records  # the returns that were kept


def test_candidates_are_judged_without_the_simulator(slides, tmp_path):
    settings = hcsac.preset("best", "one_step").replace(
        {"updates": 20, "hidden_size": 8, "critics": 2, "batch_size": 8, "candidates": "0.1:own,inf:own", "actors": 1,
         "final_episodes": 1, "precision": "float32"}
    )  # fmt: skip
    run = hcsac.train("one_step", slides, tmp_path / "run", settings, (3,), progress=False)
    fitted = FittedQSettings(behaviour_updates=4, updates=4, hidden_size=8, critics=1)
    records = choice.of_run(run.path, slides, 1, fitted)
    policy = hcsac.load_policy(run.path)
    for m, record in enumerate(records):
        acts = record["chosen"]["fqe"]
        rows = slides.rows_of(m)
        own = policy.act(slides.observation[rows], record["task"])
        assert record["error"][acts] == pytest.approx(((own - slides.action[rows]) ** 2).mean(), rel=1e-3)
        assert len(record["fitted_q"]) == len(record["verdicts"]) == 2
        assert record["logged"] == slides.mean_returns[record["task"]]
    assert choice.of_run(run.path, slides, 1, fitted) == records  # what was kept


def test_the_table_of_judged_candidates():
    record = {
        "data": "reach", "returns": [10.0, 20.0, 40.0], "fitted_q": [1.0, 3.0, 2.0], "error": [0.1, 0.2, 0.3],
        "logged": 15.0, "verdicts": ["above", "above", "not told apart"],
    }  # fmt: skip
    text = choice.offline_markdown([record, {**record, "data": "push", "fitted_q": [1.0, 2.0, 3.0]}])
    assert "| reach | 15 | 10 to 40 | 0.50 | 50.0% | -1.00 | 75.0% | 1 of 2 |" in text
    assert "| push | 15 | 10 to 40 | 1.00 | 0.0% | -1.00 | 75.0% | 1 of 2 |" in text
    assert "| mean | | | 0.75 | 25.0% | -1.00 | 75.0% | 2 of 4 |" in text


@pytest.fixture
def logged(monkeypatch, tmp_path):
    """A task without a simulator, which the benchmarks register, and an empty store."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    register_task(Task("logged"))


def test_a_check_and_an_import_are_measured(logged, monkeypatch):
    monkeypatch.setattr(checks, "FILTERS", {name: checks.FILTERS[name] for name in ("none", "gzip 1")})
    made = checks._check(4000)
    assert made["data"] > 4000 * 4 * (checks.S + checks.A)
    assert made["seconds"] > 0
    assert "| 4,000 |" in report.SECTIONS["check"][1]({"4000": made})
    rates_of = checks.measure_import(2000)
    assert rates_of["size, none"] == pytest.approx(1, abs=0.05)
    assert rates_of["size, gzip 1"] < 1
    assert "| gzip 1 |" in report.SECTIONS["import"][1](rates_of)


def test_joins_of_episodes_are_counted():
    calm = [swing(seed) for seed in range(6)]
    assert check_calibration.judge_joins(calm, (1, 3)) == (0, 2, 2)
    one = check_calibration.joined(calm[0], calm[1], 250)
    assert len(one) == 500
    np.testing.assert_array_equal(one.observation[250:], calm[1].observation[:251])


def test_a_log_is_judged_as_it_is_and_shifted(logged):
    late = logs.System(explore=0.6, push=0.02, idle=True)
    found = check_calibration.judge(logs.system_log(late, np.random.default_rng(1), 3000, "r(s')"))
    assert (found["errors"], found["warnings"], found["action +1"], found["action -1"]) == ([], [], True, False)
    lines = check_calibration.table({"random actions": [found]}).splitlines()
    assert lines[-1] == f"| **all** | 1 | {found['rows']:,} to {found['rows']:,} | 0 | 0 | 0% | 100% | 0% | 0% |"
    assert logs.draw_log("system: lag", 3)[0].action.tolist() == logs.draw_log("system: lag", 3)[0].action.tolist()


def test_memory_of_many_tasks_is_that_of_no_pairs():
    found = many_tasks._measure(4, 4000)
    assert found["pairs"] == 12_000
    assert found["checkpoint"] == 3 * 8 * 12
    assert found["minibatch"] > 0


def test_what_rules_share_is_compared_with_what_is_useful(tmp_path, capsys, monkeypatch):
    """The rule by outcomes shares exactly what is useful; the one that takes all, all of it."""
    refs = ["sample/walker-walk-medium-replay-v0", "sample/walker-run-medium-replay-v0"]
    small = {"hidden_size": 8, "batch_size": 8, "updates": 2, "final_episodes": 1, "evaluation_steps": 2}
    for rule in ("outcome", "all"):
        settings = hcsac.preset("quick", "td3_bc").replace(small | {"sharing": rule, "reward_rule": "recompute"})
        hcsac.train("td3_bc", refs, tmp_path / rule, settings, progress=False)
    monkeypatch.setattr("sys.argv", ["rules", str(tmp_path / "outcome"), str(tmp_path / "all")])
    assert rules.main() == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 4
    for row in rows:
        useful, _, shared, precision, recall = (cell.strip("| ") for cell in row[2:])
        if "outcome" in row[0]:
            assert (precision, recall) == ("100%", "100%")
        else:
            assert (shared, precision, recall) == ("100%", useful, "100%")
