"""Tables: CSV and Parquet, and LeRobot's folders."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from hcsac.data.formats import OpenedDataset
from hcsac.errors import UserError
from tests.conftest import run, slide_episodes


@pytest.fixture
def table():
    """Three episodes with gaps in their numbers, a column for each number."""
    made = slide_episodes("slide-left", count=3)
    observation = np.concatenate([e.observation for e in made])
    action = np.concatenate([np.concatenate([e.action, np.zeros((1, 2), np.float32)]) for e in made])
    reward = np.concatenate([np.append(e.reward, np.float32(0)) for e in made])
    columns = {"episode": np.repeat([2, 5, 40], 13), "step": np.tile(np.arange(13), 3)}
    columns |= {f"obs_{i}": observation[:, i] for i in range(3)} | {f"action_{i}": action[:, i] for i in range(2)}
    return made, pa.table({**columns, "reward": reward})


def read(path, columns=(), task="slide-left"):
    return list(OpenedDataset(str(path), task, columns))


def same(found, made):
    assert len(found) == len(made)
    for one, other in zip(found, made, strict=True):
        for name in ("observation", "action", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "CSV"])
def test_a_column_for_each_number(suffix, table, tmp_path):
    made, content = table
    path = tmp_path / f"log.{suffix}"
    (parquet.write_table if suffix == "parquet" else csv.write_csv)(content, path)
    same(read(path), made)


def test_columns_of_lists_and_episodes_that_go_on_in_the_next_batch_and_file(table, tmp_path):
    made, content = table
    size = {"obs": 3, "action": 2}
    lists = {
        kind: pa.array(
            [[content[f"{kind}_{i}"][row].as_py() for i in range(n)] for row in range(39)], pa.list_(pa.float32())
        )
        for kind, n in size.items()
    }
    whole = pa.table({"episode_id": content["episode"], **lists, "reward": content["reward"]})
    (tmp_path / "logs").mkdir()
    parquet.write_table(whole.slice(0, 20), tmp_path / "logs" / "a.parquet", row_group_size=7)
    parquet.write_table(whole.slice(20), tmp_path / "logs" / "b.parquet", row_group_size=7)
    same(read(tmp_path / "logs"), made)


def test_columns_that_are_named(table, tmp_path):
    made, content = table
    renamed = content.rename_columns(["trial", "step", "pos.x", "pos.y", "tilt", "u0", "u1", "paid"])
    csv.write_csv(renamed, tmp_path / "log.csv")
    with pytest.raises(
        UserError, match=r"no column is known as the episode; its columns are trial, .*--columns episode="
    ):
        read(tmp_path / "log.csv")
    chosen = ["episode=trial", "observation=pos.*,tilt", "action=u*", "reward=paid"]
    same(read(tmp_path / "log.csv", chosen), made)
    options = [word for text in chosen for word in ("--columns", text)]
    command = ["data", "import", tmp_path / "log.csv", "--task", "slide-left", "--name", "lab/named-v0", *options]
    assert run(*command) == 0


def test_ends(table, tmp_path):
    """A terminal state in the row before the last observation, and one in the last row of all."""
    _, content = table
    flags = np.zeros(39, bool)
    flags[11] = True
    parquet.write_table(content.append_column("terminated", pa.array(flags)), tmp_path / "log.parquet")
    first, *others = read(tmp_path / "log.parquet")
    assert first.terminated.nonzero()[0].tolist() == [11]
    assert not any(episode.terminated.any() for episode in others)
    flags = np.zeros(39, np.int64)
    flags[12] = 1
    parquet.write_table(content.append_column("done", pa.array(flags)), tmp_path / "log.parquet")
    first = read(tmp_path / "log.parquet")[0]
    assert len(first) == 13
    assert first.terminated[-1]
    flags[5] = 1
    parquet.write_table(content.append_column("done", pa.array(flags)), tmp_path / "log.parquet")
    with pytest.raises(
        UserError, match="episode 2: row 5 ends in a terminal state, and rows of the same episode follow"
    ):
        read(tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("spoil", "columns", "message"),
    [
        (lambda t: t.take(np.r_[0:13, 26:39, 13:26, 0:1]), (), "rows of episode 2 are not together; sort the table"),
        (lambda t: t.append_column("is_done", t["step"]), (), "is_done may say where episodes end"),
        (lambda t: t.set_column(2, "obs_0", pa.array(["a"] * 39)), (), "column obs_0 has the type string, not numbers"),
        (lambda t: t.set_column(2, "obs_0", pa.array([None] * 39, pa.float32())), (), "column obs_0 has empty cells"),
        (
            lambda t: t.append_column("obs", pa.array([[1.0]] * 38 + [[1.0, 2.0]])),
            (),
            "lists of column obs differ in length",
        ),
        (lambda t: t, ("observation",), "write KIND=COLUMN"),
        (lambda t: t, ("observations=obs_0",), "did you mean 'observation'"),
        (lambda t: t, ("observation=q*",), r"observation=q\* fits none of its columns"),
    ],
)
def test_a_bad_table_is_one_sentence(spoil, columns, message, table, tmp_path):
    parquet.write_table(spoil(table[1]), tmp_path / "log.parquet")
    with pytest.raises(UserError, match=message):
        read(tmp_path / "log.parquet", columns)


def test_a_damaged_table_is_one_sentence(tmp_path):
    (tmp_path / "log.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(UserError, match=r"log.parquet cannot be read .*; write it again"):
        read(tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_text("episode,obs_0,action_0\n1,2\n")
    with pytest.raises(UserError, match=r"log.csv cannot be read .*; write it again"):
        read(tmp_path / "log.csv")


def test_columns_are_for_tables_alone(tmp_path):
    (tmp_path / "logs").mkdir()
    np.savez(tmp_path / "logs" / "a.npz", observation=np.zeros((2, 3)), action=np.zeros((2, 2)), reward=np.zeros(2))
    with pytest.raises(UserError, match="is read as npz, whose columns have names; leave --columns out"):
        read(tmp_path / "logs", ["action=u"])


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot(version, table, tmp_path):
    """An episode a file, or all in one; every last frame is done, and what its action led to is not recorded."""
    made, content = table
    size = {"observation.state": ("obs", 3), "action": ("action", 2)}
    columns = {
        name: pa.FixedSizeListArray.from_arrays(
            pa.array(np.stack([content[f"{kind}_{i}"].to_numpy() for i in range(n)], 1).reshape(-1)), n
        )
        for name, (kind, n) in size.items()
    }
    frames = pa.table(
        {**columns, "next.reward": content["reward"], "next.done": pa.array(np.tile(np.arange(13) == 12, 3)),
         "episode_index": pa.array(np.repeat(np.arange(3), 13)), "frame_index": content["step"]}
    )  # fmt: skip
    data = tmp_path / "robot" / "data" / "chunk-000"
    data.mkdir(parents=True)
    (tmp_path / "robot" / "meta").mkdir()
    (tmp_path / "robot" / "meta" / "info.json").write_text(json.dumps({"codebase_version": version}))
    if version == "v3.0":
        parquet.write_table(frames, data / "file-000.parquet")
    else:
        for e in range(3):
            parquet.write_table(frames.slice(13 * e, 13), data / f"episode_{e:06d}.parquet")
    same(read(tmp_path / "robot"), made)
