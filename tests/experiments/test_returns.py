"""The raw table: every episode is in it once, and it comes back from disk as it was."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from hcsac.errors import UserError
from hcsac.experiments import collect_returns, dataset_returns, read_returns, write_returns
from hcsac.training import last_returns, learning_curve, train
from tests.conftest import TASKS
from tests.training.conftest import settings

RETURNS = {
    10: {"slide-left": {4: [1.0, 2.0], 7: [3.0, 4.0]}, "slide-right": {4: [5.0, 6.0], 7: [7.0, 8.0]}},
    20: {"slide-left": {4: [9.5] * 3, 7: [10.0] * 3}, "slide-right": {4: [11.0] * 3, 7: [12.0, 13.0, 14.0]}},
}
LABELS = {"dataset": "medium", "variant": "none"}


@pytest.fixture
def run(make_run):
    return make_run("study/medium/hcsac", "hcsac", RETURNS)


def test_one_row_an_episode(run, tmp_path):
    table = collect_returns([(run, LABELS)], tmp_path / "study")
    assert table.num_rows == 4 * 2 + 4 * 3
    assert table.slice(2, 1).to_pylist() == [
        {
            "run": "medium/hcsac", "dataset": "medium", "variant": "none", "agent": "hcsac", "task": "slide-left",
            "seed": 7, "update": 10, "episode": 0, "return": 3.0, "last": False,
            "behaviour": 5.0, "random_return": 0.0, "expert_return": 10.0,
        }
    ]  # fmt: skip
    assert table.slice(19).to_pylist()[0] == {
        "run": "medium/hcsac", "dataset": "medium", "variant": "none", "agent": "hcsac", "task": "slide-right",
        "seed": 7, "update": 20, "episode": 2, "return": 14.0, "last": True,
        "behaviour": 3.0, "random_return": 0.0, "expert_return": 10.0,
    }  # fmt: skip
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "run": "string", "dataset": "string", "variant": "string", "agent": "string", "task": "string",
        "seed": "int64", "update": "int64", "episode": "int32", "return": "double", "last": "bool",
        "behaviour": "double", "random_return": "double", "expert_return": "double",
    }  # fmt: skip


def test_a_trained_run_is_in_it_whole(slides, tmp_path):
    """Against what the run's own reader says of the same files."""
    run = train("hcsac", slides, tmp_path / "run", settings(), seeds=(0, 1), progress=False)
    table = collect_returns([(run, {})], tmp_path)
    for task in TASKS:
        own = table.filter(pa.compute.equal(table["task"], task))
        last = own.filter(own["last"])["return"].to_numpy().reshape(2, 3)
        np.testing.assert_array_equal(last, last_returns(run, task))
        updates, curve = learning_curve(run, task)
        means = own.group_by(["update", "seed"], use_threads=False).aggregate([("return", "mean")])
        np.testing.assert_allclose(means["return_mean"].to_numpy().reshape(len(updates), 2), curve)
        logged = dataset_returns(table)["", "", task]
        np.testing.assert_allclose(logged, slides.episode_returns[task], atol=5e-5)
        assert own["behaviour"][0].as_py() == slides.mean_returns[task]


def test_runs_bring_labels_of_their_own(make_run, run, tmp_path):
    other = make_run("elsewhere", "bc", {5: {"slide-left": {0: [1.0]}}})
    table = collect_returns([(run, {**LABELS, "preset": "slides"}), (other, {"agent": "bc-big"})], tmp_path / "study")
    rows = table.to_pylist()
    assert (rows[0]["preset"], rows[-1]["preset"]) == ("slides", None)
    assert (rows[-1]["agent"], rows[-1]["dataset"], rows[-1]["variant"]) == ("bc-big", "", "")
    assert rows[-1]["run"] == (tmp_path / "elsewhere").resolve().as_posix()  # it does not lie below the root
    with pytest.raises(ValueError, match="seed"):
        collect_returns([(run, {"seed": "3"})], tmp_path)


def test_an_evaluation_cut_short_is_kept_but_is_not_the_last(run, tmp_path):
    """A run killed while it wrote: one seed's returns of the next evaluation are there, the others' are not."""
    run.append("evaluations.jsonl", [{"update": 30, "seed": 4, "task": "slide-left", "returns": [99.0]}])
    with open(run.path / "evaluations.jsonl", "a") as file:
        file.write('{"update": 30, "seed": 7, "task": "sli')
    table = collect_returns([(run, LABELS)], tmp_path)
    assert table.num_rows == 21
    assert set(table.filter(table["last"])["update"].to_pylist()) == {20}


def test_a_record_written_twice_counts_once(run, tmp_path):
    run.append("evaluations.jsonl", [{"update": 20, "seed": 4, "task": "slide-left", "returns": [1.0, 2.0]}])
    table = collect_returns([(run, LABELS)], tmp_path)
    assert table.num_rows == 19
    assert [r["return"] for r in table.to_pylist() if (r["update"], r["seed"], r["task"]) == (20, 4, "slide-left")] == [
        1.0,
        2.0,
    ]


def test_what_is_not_known_is_null(make_run, tmp_path):
    run = make_run("run", "bc", {1: {"no such task": {0: [1.0]}, "walker-stand": {0: [2.0]}}}, behaviour={})
    rows = collect_returns([(run, LABELS)], tmp_path).to_pylist()
    assert [(r["behaviour"], r["random_return"], r["expert_return"]) for r in rows] == [
        (None, None, None), (None, 132.0, None),
    ]  # fmt: skip


def test_runs_without_evaluations(make_run, tmp_path):
    run = make_run("run", "bc", {})
    for runs in ([], [(run, LABELS)]):
        table = collect_returns(runs, tmp_path)
        assert table.num_rows == 0
        assert read_returns(write_returns(table, tmp_path / "t.parquet")).equals(table)
    with pytest.raises(UserError, match="no run found at"):
        collect_returns([(type(run)(tmp_path / "nothing"), LABELS)], tmp_path)


def test_parquet_gives_it_back(make_run, tmp_path):
    logged = {"slide-left": [4.0, 6.0], "slide-right": [3.0]}
    run = make_run("run", "hcsac", RETURNS, behaviour_returns=logged)
    table = collect_returns([(run, LABELS)], tmp_path)
    path = write_returns(table, tmp_path / "new folder" / "returns.parquet")
    back = read_returns(path)
    assert back.equals(table, check_metadata=True)
    found = dataset_returns(back)
    assert {key: values.tolist() for key, values in found.items()} == {
        ("medium", "none", task): values for task, values in logged.items()
    }
    columns = parquet.ParquetFile(path).metadata.row_group(0)
    assert {columns.column(i).compression for i in range(columns.num_columns)} == {"ZSTD"}
    assert [p.name for p in path.parent.iterdir()] == ["returns.parquet"]


def test_a_failed_write_leaves_the_old_table(run, tmp_path, monkeypatch):
    table = collect_returns([(run, LABELS)], tmp_path)
    path = write_returns(table, tmp_path / "out" / "returns.parquet")

    def fails(_, where, **kwargs):
        where.write_bytes(b"half of i")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet, "write_table", fails)
    with pytest.raises(UserError, match=r"cannot write .*returns\.parquet \(No space left on device\)"):
        write_returns(table, path)
    assert read_returns(path).equals(table)
    assert [p.name for p in path.parent.iterdir()] == ["returns.parquet"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --output that can be written"):
        write_returns(table, tmp_path / "file" / "returns.parquet")


def test_what_is_no_table_is_told(run, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_returns(tmp_path / "none.parquet")
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(UserError, match="corrupt or no Parquet file"):
        read_returns(tmp_path / "corrupt.parquet")
    table = collect_returns([(run, LABELS)], tmp_path)
    for wrong in (table.drop_columns(["seed"]), table.set_column(5, "seed", table["return"])):
        write_returns(wrong, tmp_path / "wrong.parquet")
        with pytest.raises(UserError, match=r"no column seed \(int64\)"):
            read_returns(tmp_path / "wrong.parquet")
