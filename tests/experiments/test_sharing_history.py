"""The flow of a run as a table, a picture, and a row's story."""

import pytest

from hcsac.experiments import draw_flow, flow_table, row_story
from hcsac.training import Borrowing, RowHistory, RunDirectory

SETTINGS = {"sharing": "cds", "share_interval": 4, "batch_size": 50}
IDENTITY = {"tasks": ["a", "b"], "seeds": [0, 1], "rows": 201, "settings": SETTINGS}


def record(update, seed, borrowed, **named):
    given = {"update": update, "seed": seed, "from": "a", "to": "b", "offered": 200, "borrowed": borrowed}
    rest = {"threshold": 1.5, "temperature": None, "weight": None, "own_q": [1, 2, 3, 4, 5], "borrowed_q": None}
    return given | rest | {"claimed_reward": None, "true_reward": None} | named


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.begin(IDENTITY, resume=False)
    return run


def test_a_line_is_the_mean_over_the_seeds_that_have_a_number(run):
    some = {"borrowed_q": [10, 11, 12, 13, 14], "claimed_reward": 0.9, "true_reward": 0.25, "weight": 0.5}
    run.append("sharing.jsonl", [record(6, 0, 0), record(6, 1, 50, **some), record(12, 0, 3), record(12, 1, 4)])
    head, first, second = flow_table(run).splitlines()
    assert head.split()[:7] == ["update", "from", "to", "offered", "borrowed", "share", "threshold"]
    assert " ".join(first.split()) == (
        "6 a b 200 25 12.5 % 1.50 0.500 1.00 / 3.00 / 5.00 10.00 / 12.00 / 14.00 0.900 0.250"
    )
    assert " ".join(second.split()) == "12 a b 200 4 1.8 % 1.50 - 1.00 / 3.00 / 5.00 - / - / - - -"
    assert draw_flow(run) == run.path / "sharing.png"


def test_records_of_older_runs_say_less(run):
    short = {name: value for name, value in record(6, 0, 20).items()
             if name in ("update", "seed", "from", "to", "offered", "borrowed", "threshold")}  # fmt: skip
    run.append("sharing.jsonl", [short])
    assert flow_table(run).splitlines()[1].split()[:8] == ["6", "a", "b", "200", "20", "10.0", "%", "1.50"]


def test_nothing_shared(run):
    why = "sharing = 'cds'; the first sharing comes after 20 updates, share_interval = 4 epochs"
    assert flow_table(run) == f"{run.path} has shared no rows ({why})."
    run.write_json("run.json", IDENTITY | {"settings": SETTINGS | {"sharing": "none"}})
    assert flow_table(run) == f"{run.path} has shared no rows (sharing = 'none')."
    run.write_json("run.json", IDENTITY | {"tasks": ["a"]})
    assert flow_table(run) == f"{run.path} has shared no rows (sharing = 'cds'; its data hold one task)."
    assert draw_flow(run) is None
    assert {path.name for path in run.path.iterdir()} == {"run.json"}


@pytest.mark.parametrize(
    ("value", "weighted", "says"),
    [
        (2.0, False, "update 6, seed 1: borrowed by b, claiming 0.9; Q 2 >= threshold 1.5"),
        (1.0, True, "claiming 0.9; Q 1 against threshold 1.5 weighs 0.25"),
        (None, False, "claiming 0.9; the rule takes every row"),
    ],
)
def test_a_rows_story_gives_the_reason(value, weighted, says):
    one = Borrowing(6, 1, "b", value, 1.5, 0.25 if weighted else 1.0, weighted, 0.9)
    first, story = row_story(RowHistory(7, "a", 2, 1, 0.5, 3, [one])).splitlines()
    assert first == "row 7: a, episode 2, step 1, reward 0.5"
    assert says in story
    assert row_story(RowHistory(7, "a", 2, 1, 0.5, 1, [])).endswith("no task has borrowed it in 1 sharing.")
