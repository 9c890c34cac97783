"""The tests check the shapes that functions of losses and networks declare, and a wrong one is an error."""

import inspect

import pytest
import torch
from torch import Tensor

from hcsac.losses import sac, td3, weighting
from hcsac.losses.sac import actor_loss, bellman_loss
from tests.shapes import functions, modules

pytest.importorskip("jaxtyping", reason="needs the extra dev: pip install 'hcsac[dev]'")
pytest.importorskip("beartype", reason="needs the extra dev: pip install 'hcsac[dev]'")
import jaxtyping

R, E, B = 3, 2, 5


def test_every_public_function_of_the_losses_declares_its_shapes():
    for module in modules():
        if module.__name__.startswith("hcsac.losses."):
            public = {name: value for name, value in vars(module).items() if inspect.isfunction(value)}
            own = {name for name, value in public.items() if value.__module__ == module.__name__}
            takes_tensors = {name for name in own if "Tensor" in str(inspect.signature(public[name]))}
            assert takes_tensors
            assert takes_tensors == {name for _, name, _ in functions(module)}


@pytest.mark.parametrize(
    ("call", "axes"),
    [
        (lambda: bellman_loss(torch.zeros(R, E, B), torch.zeros(B, R)), "target"),
        (lambda: bellman_loss(torch.zeros(R, E, B), torch.zeros(R, B, 1)), "target"),
        (lambda: actor_loss(torch.zeros(R, 1), torch.zeros(R, B), torch.zeros(R, E, B)), "temperature"),
        (lambda: td3.td3_target(torch.zeros(R, 1), torch.zeros(R, B), torch.zeros(R, E, B)), "discount"),
        (lambda: weighting.weighted_mean(torch.zeros(R, E, B), torch.zeros(R, E)), "weight"),
    ],
)
def test_a_wrong_shape_is_named_even_where_it_would_broadcast(call, axes):
    with pytest.raises(jaxtyping.TypeCheckError, match=f"parameter '{axes}'"):
        call()


def test_a_compiled_function_is_the_plain_one():
    def loss(q: Tensor, target: Tensor) -> Tensor:
        return sac.bellman_loss(q, target)

    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    q, target = torch.randn(R, E, B), torch.randn(R, B)
    torch.testing.assert_close(compiled(q, target), loss(q, target))
