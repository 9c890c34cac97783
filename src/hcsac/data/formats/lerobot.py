"""LeRobot's datasets, versions 2 and 3: Parquet tables of frames below a folder with meta/info.json."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hcsac.data.episode import Episode
from hcsac.data.formats.base import dataset_format
from hcsac.data.formats.tables import frames, read_tables, write_table
from hcsac.errors import UserError

VERSION = "v2.1"  # that is written
CHUNK = 1000  # episodes in a folder
FPS = 10  # that is written: our logs have no clock
# The end of an episode is that of its recording: `next.done` marks every last frame and says no more.
COLUMNS = {"episode": ["episode_index"], "observation": ["observation.state"], "action": ["action"]}


@dataset_format("lerobot")
class LerobotFormat:
    """The folder of a LeRobot dataset, version 2 or 3; videos are not read."""

    rewards_optional = True

    def matches(self, path: Path) -> bool:
        """Whether it has LeRobot's description."""
        return (path / "meta" / "info.json").is_file()

    def read(self, path: Path) -> Iterator[Episode]:
        """The frames of each episode; the action of the last one is left out, since what it led to is not recorded."""
        files = sorted(path.glob("data/chunk-*/*.parquet"))
        if not files:
            raise UserError(f"{path}: has no data/chunk-*/*.parquet; download the dataset again.")
        yield from read_tables(files, COLUMNS)

    def write(self, path: Path, episodes: Iterable[Episode], task: str) -> None:
        """A dataset of version 2.1. The last frame of an episode is its last observation, with an action of zeros."""
        (path / "meta").mkdir(parents=True)
        total, count, features = 0, 0, dict[str, Any]()
        for episode in episodes:
            rows = _frames(episode, total)
            folder = path / "data" / f"chunk-{count // CHUNK:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            write_table(folder / f"episode_{count:06d}.parquet", [(count, rows)], "episode_index")
            stats = {name: _statistics(array) for name, array in rows.items()}
            _append(path, "episodes", {"episode_index": count, "tasks": [task], "length": len(rows["action"])})
            _append(path, "episodes_stats", {"episode_index": count, "stats": stats})
            features = {name: _feature(array) for name, array in rows.items()}
            count, total = count + 1, total + len(rows["action"])
        _append(path, "tasks", {"task_index": 0, "task": task})
        description = {
            "codebase_version": VERSION,
            "robot_type": "unknown",
            "total_episodes": count,
            "total_frames": total,
            "total_tasks": 1,
            "total_videos": 0,
            "total_chunks": -(-count // CHUNK),
            "chunks_size": CHUNK,
            "fps": FPS,
            "splits": {"train": f"0:{count}"},
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": None,
            "features": {**features, "episode_index": {"dtype": "int64", "shape": [1], "names": None}},
        }
        (path / "meta" / "info.json").write_text(json.dumps(description, indent=2) + "\n")


def _frames(episode: Episode, first: int) -> dict[str, np.ndarray]:
    rows = frames(episode)
    count = len(rows["action"])
    index = np.arange(count)
    given = {
        "observation.state": rows["observation"],
        "action": rows["action"],
        "next.reward": rows["reward"],
        "next.terminated": rows["terminated"],
        "next.done": index >= count - 2,
        "timestamp": (index / FPS).astype(np.float32),
        "frame_index": index,
        "index": first + index,
        "task_index": np.zeros(count, np.int64),
    }
    return given if episode.physics is None else {**given, "physics": rows["physics"]}


def _feature(array: np.ndarray) -> dict[str, Any]:
    return {"dtype": str(array.dtype), "shape": list(array.shape[1:]) or [1], "names": None}


def _statistics(array: np.ndarray) -> dict[str, list[Any]]:
    table = np.atleast_2d(array.T).T.astype(np.float64)
    found = {name: getattr(table, name)(0).tolist() for name in ("min", "max", "mean", "std")}
    return {**found, "count": [len(table)]}


def _append(path: Path, name: str, record: dict[str, Any]) -> None:
    with open(path / "meta" / f"{name}.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")
