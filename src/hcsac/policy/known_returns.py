"""Returns of a policy on numbered initial states, kept in a file beside it so that each is evaluated once."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hcsac import files
from hcsac.errors import UserError
from hcsac.evaluation import FIRST_SEED, Evaluator
from hcsac.policy.policy import load_with_tasks

FORMAT = 1


class KnownReturns:
    """Returns of the policy of the run or bundle at `path`, from the initial states of `seed`, `seed + 1`, and so on.

    They are those in `compared.json` beside the policy, if this is of exactly this policy (see `Policy.digest`), and
    those that `evaluate` adds to it. A file that is of another policy, or corrupt, is replaced.

    Attributes:
        policy: the policy.
        returns: what is known, [R, M, episodes].
        problem: why the file could not be written; "" where it could.

    Raises:
        UserError: there is no policy, or its algorithm, sharing rule or a task is a plug-in's that is not loaded.
    """

    def __init__(self, path: str | Path, seed: int = FIRST_SEED):
        self.policy = load_with_tasks(path)
        self.problem = ""
        self._file, self._seed = Path(path) / files.COMPARED, seed
        self._digest = self.policy.digest()
        self._of_seed = self._read()

    @property
    def returns(self) -> np.ndarray:
        """See above."""
        nothing = np.empty((len(self.policy.seeds), len(self.policy.tasks), 0))
        return self._of_seed.get(str(self._seed), nothing)

    def missing(self, episodes: int) -> int:
        """How many episodes of all seeds and tasks `evaluate` would run."""
        R, M, known = self.returns.shape
        return R * M * max(0, episodes - known)

    def evaluate(self, episodes: int, advance: Callable[[int], None] = lambda count: None) -> np.ndarray:
        """Undiscounted returns [R, M, episodes], evaluated in the simulator where they are not known.

        What is evaluated is written block by block, so that an interruption loses one block.

        Args:
            episodes: for each seed and task.
            advance: called after each block with the number of its episodes.

        Raises:
            UserError: a task has no simulator.
        """
        known = self.returns.shape[2]
        if (rest := episodes - known) > 0:
            policy = self.policy
            evaluator = Evaluator(policy.tasks, rest, len(policy.seeds), workers=torch.get_num_threads())
            try:
                for start in range(known, episodes, evaluator.at_once):
                    size = min(evaluator.at_once, episodes - start)
                    new = evaluator.block(policy.act_all, self._seed + start, size)
                    self._of_seed[str(self._seed)] = np.concatenate([self.returns, new], axis=2)
                    self._write()
                    advance(new.size)
            finally:
                evaluator.close()
        return self.returns[..., :episodes]

    def _read(self) -> dict[str, np.ndarray]:
        """First seed -> returns [R, M, episodes] of this policy in the file."""
        shape = len(self.policy.seeds), len(self.policy.tasks)
        try:
            content = files.parse_json(self._file.read_text())
            if (content["format"], content["policy"]) != (FORMAT, self._digest):
                return {}
            found = {str(int(seed)): np.array(returns, float) for seed, returns in content["returns"].items()}
        except (OSError, ArithmeticError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return {seed: returns for seed, returns in found.items() if returns.shape[:2] == shape and returns.ndim == 3}

    def _write(self) -> None:
        content = {
            "format": FORMAT,
            "policy": self._digest,
            "update": self.policy.update,
            "seeds": self.policy.seeds,
            "tasks": self.policy.tasks,
            "returns": {seed: returns.tolist() for seed, returns in self._of_seed.items()},
        }
        try:
            with files.write_atomically(self._file) as temporary:
                temporary.write_text(json.dumps(content) + "\n")
        except UserError as error:
            self.problem = f"{error} The next call evaluates again."
