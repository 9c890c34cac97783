"""The policy of one seed as an ONNX file, and the proof that it computes what PyTorch does."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hcsac.algorithms import SingleReplicaPolicy
from hcsac.errors import UserError
from hcsac.policy.state import PolicyState

ROWS, TOLERANCE = 1000, 1e-5  # of the comparison; actions lie in [-1, 1]


def onnx_bytes(state: PolicyState, known: dict[str, str]) -> bytes:
    """The policy of `state`, which holds one seed, as an ONNX model: the same bytes every time.

    observation [n, S] float32, task [n] int64 -> action [n, A] float32 in [-1, 1], NaN for a task that is none of the
    M. `known` and the task names go into its metadata, so that the file alone says what it is.
    """
    import onnx

    single = SingleReplicaPolicy(state.network, len(state.tasks)).eval()
    example = (torch.zeros(2, state.observation_size), torch.zeros(2, dtype=torch.int64))
    rows = torch.export.Dim("n")
    with _quiet():
        program = torch.onnx.export(
            single, example, input_names=["observation", "task"], output_names=["action"],
            dynamic_shapes=({0: rows}, {0: rows}), dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    _forget_this_machine(model)
    onnx.helper.set_model_props(model, {**known, "tasks": json.dumps(state.tasks)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def largest_difference(content: bytes, state: PolicyState) -> float | None:
    """The largest |ONNX - PyTorch| of an action over random observations and tasks; None without onnxruntime.

    Observations are drawn with twice the standard deviation that the policy scales by. 1 and 0 rows are tried, too.

    Raises:
        UserError: it is more than `TOLERANCE`.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    single = SingleReplicaPolicy(state.network, len(state.tasks))
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(ROWS, state.observation_size, generator=draw)
    observation = state.network.scaling.mean + 2 * state.network.scaling.std * noise
    task = torch.randint(len(state.tasks), (ROWS,), generator=draw)
    largest = 0.0
    for rows in (ROWS, 1, 0):
        given = {"observation": observation[:rows].numpy(), "task": task[:rows].numpy()}
        action = session.run(["action"], given)[0]
        expected = single(observation[:rows], task[:rows]).numpy()
        if action.shape != expected.shape:
            raise UserError(_refusal(f"gives actions of shape {action.shape}, not {expected.shape}"))
        largest = float(np.maximum(largest, np.abs(action - expected).max(initial=0.0)))  # NaN stays NaN
    if not largest <= TOLERANCE:
        raise UserError(_refusal(f"differs from PyTorch by {largest:.1e}, more than {TOLERANCE:g}"))
    return largest


def _refusal(reason: str) -> str:
    return f"the ONNX file {reason}; nothing was written. Try other versions of torch, onnxscript or onnxruntime."


def _forget_this_machine(model: Any) -> None:
    """Drop the exporter's notes on every node: they hold paths of the machine that exported."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings, which concern its own insides; errors still come through."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
