"""The .npz layout: right numbers from good files, one clear sentence from bad ones."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcsac.data import Episode
from hcsac.data.episode import to_arrivals
from hcsac.data.formats.npz import read_directory
from hcsac.errors import UserError
from tests.conftest import run
from tests.data.conftest import same, save


def test_round_trip(tmp_path: Path, small: list[Episode]) -> None:
    save(tmp_path / "log" / "data", small)
    for folder in (tmp_path / "log", tmp_path / "log" / "data"):
        assert all(map(same, read_directory(folder), small))


@pytest.mark.parametrize(
    ("folder", "behaviour"),
    [("walk-td3-medium", 962.8), ("walk-td3-medium-replay", 929.8), ("run-td3-medium", 318.4),
     ("run-td3-medium-replay", 251.5)],
)  # fmt: skip
def test_course_returns(course: Path, folder: str, behaviour: float) -> None:
    episodes = read_directory(course / f"walker_{folder}")
    assert [len(episode) for episode in episodes] == [1000] * 51
    assert np.mean([episode.episode_return for episode in episodes]) == pytest.approx(behaviour, abs=0.05)
    assert all(episode.truncated[-1] and not episode.terminated.any() for episode in episodes)


def test_no_folder_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such folder"):
        read_directory(tmp_path / "absent")
    with pytest.raises(UserError, match=r"has no \.npz file"):
        read_directory(tmp_path)


Rows = dict[str, np.ndarray]


def _nan(rows: Rows) -> Rows:
    rows["observation"][3, 2] = np.nan
    return rows


def _inf(rows: Rows) -> Rows:
    rows["reward"][1] = np.inf
    return rows


def _objects(rows: Rows) -> Rows:
    return {**rows, "action": np.array([{"a": 1}] * 6, dtype=object)}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_nan, "observation has NaN or infinity, first in row 3"),
        (_inf, "reward has NaN or infinity, first in row 1"),
        (_objects, "pickled objects"),
        (lambda rows: {**rows, "reward": np.zeros((9, 1), np.float32)}, "labels are longer than the data"),
        (lambda rows: {**rows, "action": rows["action"][:-1]}, "unequal length"),
        (lambda rows: {**rows, "observation": rows["observation"][:, :, None]}, "observation has shape"),
        (lambda rows: {**rows, "reward": np.zeros((6, 2), np.float32)}, r"must be \[T\+1\] or \[T\+1, 1\]"),
        (lambda rows: {**rows, "action": np.full((6, 2), "left")}, "not numbers"),
        (lambda rows: {key: rows[key] for key in ("observation", "action")}, "has no reward"),
        (lambda rows: {key: array[:1] for key, array in rows.items()}, "has no step"),
        (lambda rows: {**rows, "observation": np.full((6, 24), 1e300)}, "NaN or infinity"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:overflow")
def test_bad_files_are_named(tmp_path: Path, small: list[Episode], spoil: Callable[[Rows], Rows], message: str) -> None:
    rows = {key: np.array(array) for key, array in to_arrivals(small[0]).items()}
    np.savez(tmp_path / "episode_7.npz", **spoil(rows))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as caught:
        read_directory(tmp_path)
    assert "episode_7.npz" in str(caught.value)


@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.98])
def test_truncated_files(tmp_path: Path, small: list[Episode], kept: float) -> None:
    file = next(save(tmp_path, small[:1]).glob("*.npz"))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=r"npz: truncated or corrupt"):
        read_directory(tmp_path)


def test_corrupt_content(tmp_path: Path, small: list[Episode]) -> None:
    file = next(save(tmp_path, small[:1]).glob("*.npz"))
    whole = bytearray(file.read_bytes())
    whole[300:320] = bytes(20)
    file.write_bytes(whole)
    with pytest.raises(UserError, match="truncated or corrupt"):
        read_directory(tmp_path)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path(tmp_path / "sprung").touch, ())

    (tmp_path / "episode.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="pickled objects"):
        read_directory(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_bare_array_is_no_archive(tmp_path: Path) -> None:
    with (tmp_path / "episode.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"not an \.npz archive"):
        read_directory(tmp_path)


def test_files_of_different_sizes(tmp_path: Path, small: list[Episode]) -> None:
    save(tmp_path, small)
    rows = to_arrivals(small[0])
    np.savez(tmp_path / "other.npz", **{**rows, "action": rows["action"][:, :3]})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"action sizes differ: .*000000_5.npz has 6, .*other.npz has 3"):
        read_directory(tmp_path)


@pytest.mark.parametrize("key", ["terminal", "is_terminal", "terminated", "done", "dones"])
def test_a_terminal_state_by_any_of_its_names(key: str, tmp_path: Path, small: list[Episode]) -> None:
    rows = {**to_arrivals(small[0]), key: np.arange(6) == 5}
    del rows["discount"]
    np.savez(tmp_path / "a.npz", **rows)
    (episode,) = read_directory(tmp_path)
    assert episode.terminated.tolist() == [False] * 4 + [True]
    assert not episode.truncated.any()


def test_done_at_the_time_limit_is_no_terminal_state(tmp_path: Path, small: list[Episode]) -> None:
    last = np.arange(6) == 5
    np.savez(tmp_path / "a.npz", **{**to_arrivals(small[0]), "done": last, "timeouts": last, "is_last": last})
    (episode,) = read_directory(tmp_path)
    assert not episode.terminated.any()
    assert episode.truncated.tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"discount": np.arange(6) == 5}, "a discount of 0 marks row 1 as a terminal state, .* call it done"),
        ({"terminal": np.arange(6) == 3}, "discount and terminal differ"),
        ({"discount": np.arange(6) != 3, "terminal": np.arange(6) == 3}, "terminal marks row 3 as a terminal state"),
        ({"done": np.arange(6)}, "done has values other than 0 and 1"),
        ({"end_of_episode": np.arange(6), "finished_end": np.arange(6)}, "finished_end may say where episodes end"),
    ],
)
def test_ends_that_make_no_sense(changes: Rows, message: str, tmp_path: Path, small: list[Episode]) -> None:
    np.savez(tmp_path / "a.npz", **{**to_arrivals(small[0]), **changes})
    with pytest.raises(UserError, match=message):
        read_directory(tmp_path)


def test_an_import_names_what_is_not_read(tmp_path: Path, small: list[Episode], folder: Path, capsys: Any) -> None:
    (tmp_path / "log").mkdir()
    np.savez(tmp_path / "log" / "a.npz", **to_arrivals(small[0]), image=np.zeros(6), is_first=np.zeros(6))
    assert run("data", "import", tmp_path / "log", "--task", "walker-walk", "--name", "lab/a-v0") == 0
    assert "not read: image\n" in capsys.readouterr().out


def test_a_loss_of_resolution_is_said(tmp_path: Path, small: list[Episode], folder: Path, capsys: Any) -> None:
    """101 time stamps of an episode would be one number."""
    rows = to_arrivals(small[0])
    observation = rows["observation"].astype(np.float64)
    observation[:, 3] = 1.7e9 + 0.01 * np.arange(6)
    observation[:, 4] = 100 + 0.01 * np.arange(6)  # float32 tells these apart
    (tmp_path / "log").mkdir()
    np.savez(tmp_path / "log" / "a.npz", **{**rows, "observation": observation})
    assert run("data", "import", tmp_path / "log", "--task", "walker-walk", "--name", "lab/a-v0") == 0
    said = capsys.readouterr().err
    assert "column 3 spreads over 0.05 around 1.7e+09, where float32 has steps of 1.3e+02; subtract an offset" in said
    assert said.count("warning") == 1
