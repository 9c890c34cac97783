"""The sharing history of a run as a table, a chart, and of one transition."""

import pytest

from hcsac.experiments import draw_sharing_history, sharing_history_table, transition_history_text
from hcsac.training import RunDirectory, SharedUse, TransitionHistory

SETTINGS = {"sharing": "cds", "share_interval": 4, "batch_size": 50, "updates": 16}
IDENTITY = {"agent": "hcsac", "tasks": ["a", "b"], "seeds": [0, 1], "rows": 201, "settings": SETTINGS}


def record(update, seed, borrowed, **named):
    given = {"update": update, "seed": seed, "from": "a", "to": "b", "offered": 200, "borrowed": borrowed}
    rest = {"threshold": 1.5, "temperature": None, "weight": None, "own_q": [1, 2, 3, 4, 5], "borrowed_q": None}
    return given | rest | {"claimed_reward": None, "true_reward": None} | named


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with run.writing(IDENTITY, resume=False):
        pass
    return run


def test_a_line_is_the_mean_over_the_seeds_that_have_a_number(run):
    some = {"borrowed_q": [10, 11, 12, 13, 14], "claimed_reward": 0.9, "true_reward": 0.25, "weight": 0.5}
    run.append("sharing.jsonl", [record(6, 0, 0), record(6, 1, 50, **some), record(12, 0, 3), record(12, 1, 4)])
    head, first, second = sharing_history_table(run).splitlines()
    assert head.split()[:7] == ["update", "from", "to", "candidates", "shared", "fraction", "threshold"]
    assert " ".join(first.split()) == (
        "6 a b 200 25 12.5 % 1.50 0.500 1.00 / 3.00 / 5.00 10.00 / 12.00 / 14.00 0.900 0.250"
    )
    assert " ".join(second.split()) == "12 a b 200 4 1.8 % 1.50 - 1.00 / 3.00 / 5.00 - / - / - - -"
    assert draw_sharing_history(run) == run.path / "sharing.png"


def test_records_of_older_runs_have_fewer_keys(run):
    short = {name: value for name, value in record(6, 0, 20).items()
             if name in ("update", "seed", "from", "to", "offered", "borrowed", "threshold")}  # fmt: skip
    run.append("sharing.jsonl", [short])
    assert sharing_history_table(run).splitlines()[1].split()[:8] == ["6", "a", "b", "200", "20", "10.0", "%", "1.50"]


def test_nothing_shared(run):
    why = "sharing = 'cds'; the first sharing step comes after 20 updates, share_interval = 4"
    assert sharing_history_table(run) == f"{run.path} has shared no transitions ({why})."
    run.write_json("run.json", IDENTITY | {"settings": SETTINGS | {"share_interval": 0.25}})
    assert "comes after 4 updates, share_interval = 0.25" in sharing_history_table(run)
    run.write_json("run.json", IDENTITY | {"settings": SETTINGS | {"sharing": "none"}})
    assert sharing_history_table(run) == f"{run.path} has shared no transitions (sharing = 'none')."
    run.write_json("run.json", IDENTITY | {"tasks": ["a"]})
    assert (
        sharing_history_table(run)
        == f"{run.path} has shared no transitions (sharing = 'cds'; its data are of one task)."
    )
    assert draw_sharing_history(run) is None
    assert {path.name for path in run.path.iterdir()} == {"run.json", ".lock"}


@pytest.mark.parametrize(
    ("value", "weighted", "says"),
    [
        (2.0, False, "update 6, seed 1: shared with b, assigned reward 0.9; Q 2 >= threshold 1.5"),
        (1.0, True, "assigned reward 0.9; Q 1, threshold 1.5, so weight 0.25"),
        (None, False, "assigned reward 0.9; the rule takes every transition"),
    ],
)
def test_the_history_of_a_transition_gives_the_reason(value, weighted, says):
    one = SharedUse(6, 1, "b", value, 1.5, 0.25 if weighted else 1.0, weighted, 0.9)
    first, reason = transition_history_text(TransitionHistory(7, "a", 2, 1, 0.5, 3, [one])).splitlines()
    assert first == "transition 7: a, episode 2, step 1, reward 0.5"
    assert says in reason
    assert transition_history_text(TransitionHistory(7, "a", 2, 1, 0.5, 1, [])).endswith(
        "shared with no task in 1 sharing step."
    )
