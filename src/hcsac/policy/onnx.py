"""The policy of one seed as an ONNX file, compared with PyTorch."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from hcsac.errors import UserError, needs
from hcsac.policy.state import PolicyState

SAMPLES, TOLERANCE = 1000, 1e-5  # of the comparison; the difference in halves of the range of the actions


def onnx_bytes(state: PolicyState, description: dict[str, str]) -> bytes:
    """The policy of `state`, which has one seed, as an ONNX model: the same bytes every time.

    observation [n, S] float32, task [n] int64 -> action [n, A] float32 in the robot's units, NaN for a task index out
    of range. A policy that acts by a number has an input of its name in place of the task, as speed [n] float32.
    Where the policy acts with noise, `action` is the mean and a second output `noise_std` [n, A] the standard deviation
    of the noise, which the caller draws and adds.
    `description` and the task names are stored in the metadata of the model.
    """
    with needs("export"):
        import onnx
        import onnxscript  # noqa: F401 (by which PyTorch makes the graph)

    single, by_number = state.single(), state.parameter is not None
    example = (
        torch.zeros(2, state.observation_size),
        torch.zeros(2, dtype=torch.float32 if by_number else torch.int64),
    )
    n = torch.export.Dim("n")
    with _quiet():
        program = torch.onnx.export(
            single, example, input_names=["observation", _asked(state)], output_names=_outputs(state),
            dynamic_shapes=({0: n}, {0: n}), dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    _remove_paths(model)
    onnx.helper.set_model_props(model, {**description, "tasks": json.dumps(state.tasks)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def largest_difference(content: bytes, state: PolicyState) -> float | None:
    """The largest |ONNX - PyTorch| of an action over random observations and tasks; None without onnxruntime.

    Observations are drawn with twice the standard deviation of the observation scaling. Batches of 1 and 0, too.

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
    single = state.single()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(SAMPLES, state.observation_size, generator=generator)
    observation = state.network.scaling.mean + 2 * state.network.scaling.std * noise
    task = torch.randint(len(state.tasks), (SAMPLES,), generator=generator)
    if state.parameter is not None:
        low, high = state.parameter.range
        task = torch.lerp(torch.tensor(low), torch.tensor(high), torch.rand(SAMPLES, generator=generator))
    largest = 0.0
    for size in (SAMPLES, 1, 0):
        inputs = {"observation": observation[:size].numpy(), _asked(state): task[:size].numpy()}
        wanted = single(observation[:size], task[:size])
        for found, tensor in zip(
            session.run(_outputs(state), inputs), wanted if isinstance(wanted, tuple) else (wanted,), strict=True
        ):
            expected = tensor.numpy()
            if found.shape != expected.shape:
                raise UserError(_failure(f"gives actions of shape {found.shape}, not {expected.shape}"))
            largest = float(np.maximum(largest, np.abs(found - expected).max(initial=0.0)))  # NaN stays NaN
    limit = TOLERANCE * float(state.bounds.half.max())
    if not largest <= limit:
        raise UserError(_failure(f"differs from PyTorch by {largest:.1e}, more than {limit:g}"))
    return largest


def _asked(state: PolicyState) -> str:
    """The second input: what the policy is asked to do."""
    return "task" if state.parameter is None else state.parameter.name


def _outputs(state: PolicyState) -> list[str]:
    return ["action", "noise_std"] if state.network.noise_scale > 0 else ["action"]


def _failure(reason: str) -> str:
    return f"the ONNX file {reason}; nothing was written. Try other versions of torch, onnxscript or onnxruntime."


def _remove_paths(model: Any) -> None:
    """Remove the exporter's notes on every node, which contain paths of this machine."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's warnings about itself; errors are still raised."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
