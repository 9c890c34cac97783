"""What a run says while it goes: JSONL, TensorBoard, the progress bar."""

from types import TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from hcsac.training.directory import RunDirectory
from hcsac.types import Info


class Log:
    """Writes every record to the run's JSONL files and to TensorBoard, one series per replica."""

    def __init__(
        self, run: RunDirectory, seeds: list[int], tasks: list[str], start: int, total: int, label: str, progress: bool
    ):
        from torch.utils.tensorboard import SummaryWriter  # slow to import, so only when a run begins

        self.run, self.seeds, self.tasks = run, seeds, tasks
        self.board = SummaryWriter(str(run.path / "tensorboard"), purge_step=start + 1)
        self.bar = tqdm(
            total=total,
            initial=start,
            desc=label,
            unit="update",
            disable=not progress,
            dynamic_ncols=True,
            mininterval=1,
        )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()
        self.board.close()

    def flush(self) -> None:
        """Hand what TensorBoard still holds back to its file."""
        self.board.flush()

    def metrics(self, update: int, info: Info) -> None:
        """The metrics of one update: name -> [R]."""
        values = {name: value.tolist() for name, value in info.items()}
        self._write("metrics.jsonl", "train", update, values)

    def returns(self, update: int, returns: np.ndarray) -> None:
        """Returns of an evaluation [R, M, episodes]."""
        records: list[dict[str, Any]] = []
        for r, seed in enumerate(self.seeds):
            for m, task in enumerate(self.tasks):
                episodes = [round(float(value), 4) for value in returns[r, m]]
                records.append({"update": update, "seed": seed, "task": task, "returns": episodes})
                self.board.add_scalar(f"return/{task}/seed{seed}", np.mean(episodes), update)
        self.run.append("evaluations.jsonl", records)
        means = returns.mean((0, 2))
        self.bar.set_postfix({task: f"{mean:.0f}" for task, mean in zip(self.tasks, means, strict=True)})

    def sharing(self, records: list[dict[str, Any]]) -> None:
        """What a sharing moved, one record per replica and direction."""
        for record in records:
            where = f"{record['from']}-to-{record['to']}/seed{record['seed']}"
            numbers = {name: record[name] for name in ("borrowed", "threshold", "claimed_reward", "true_reward")}
            medians = {f"{name}_median": record[name] and record[name][2] for name in ("own_q", "borrowed_q")}
            for name, value in (numbers | medians).items():
                if value is not None:
                    self.board.add_scalar(f"sharing/{name}/{where}", value, record["update"])
        self.run.append("sharing.jsonl", records)

    def _write(self, name: str, group: str, update: int, values: dict[str, list[float]]) -> None:
        records = []
        for r, seed in enumerate(self.seeds):
            record = {key: value[r] for key, value in values.items()}
            records.append({"update": update, "seed": seed, **record})
            for key, value in record.items():
                self.board.add_scalar(f"{group}/{key}/seed{seed}", value, update)
        self.run.append(name, records)
