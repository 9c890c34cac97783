"""Adam as one elementwise step for every replica and critic, able to compile together with the losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hcsac.settings import Decay

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam(nn.Module):
    """Kingma & Ba 2015 (arXiv 1412.6980) with PyTorch's defaults, over weights with any leading axes.

    `torch.optim.Adam` computes the same, but leaves a compiled region at every step. The moments are buffers, so that
    they move and are stored with the algorithm.

    Args:
        weights: a module, or the tensors themselves.
        rate: the learning rate of the first step.
        decay: how it falls: `linear` or `cosine` to 0 over `total` steps, or not at all.
        total: steps of the whole training.
    """

    count: Tensor

    def __init__(
        self, weights: nn.Module | Sequence[Tensor], rate: float, decay: Decay = "constant", total: int | None = None
    ):
        super().__init__()
        self.weights = tuple(weights.parameters() if isinstance(weights, nn.Module) else weights)
        self.rate, self.decay, self.total = rate, decay, total
        for i, weight in enumerate(self.weights):
            self.add_module(str(i), _Moments(weight))
        self.register_buffer("count", torch.zeros(()))
        self._collect()

    def _collect(self) -> None:
        moments = [self._modules[str(i)] for i in range(len(self.weights))]
        self._first: list[Tensor] = [m.first for m in moments]  # type: ignore[union-attr, misc]
        self._second: list[Tensor] = [m.second for m in moments]  # type: ignore[union-attr, misc]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self._collect()  # a move to another device makes new buffers
        return self

    def pace(self) -> float | Tensor:
        """The learning rate of the next step: on the device where it falls, so that nothing waits for the host."""
        if self.decay == "constant" or self.total is None:
            return self.rate
        done = (self.count / self.total).clamp(max=1)
        return self.rate * (1 - done if self.decay == "linear" else (1 + torch.cos(math.pi * done)) / 2)

    def step(self, loss: Tensor) -> None:
        """One descent on the sum over replicas of `loss` [R]; only these weights move (by 0 where it has none)."""
        gradients = list(torch.autograd.grad(loss.sum(), self.weights, materialize_grads=True))
        with torch.no_grad():
            rate = self.pace()
            self.count += 1
            if torch.compiler.is_compiling():
                self._plain(gradients, rate)
            else:
                self._fused(gradients, rate)

    def _fused(self, gradients: list[Tensor], rate: float | Tensor) -> None:
        """PyTorch's own kernel: one pass over memory, but a graph break to the compiler."""
        torch._fused_adam_(
            list(self.weights), gradients, self._first, self._second, [], [self.count] * len(gradients), lr=rate,
            beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def _plain(self, gradients: list[Tensor], rate: float | Tensor) -> None:
        """The same in operations that a compiler fuses."""
        root = (1 - BETAS[1] ** self.count).sqrt()
        pace = -rate * root / (1 - BETAS[0] ** self.count)
        torch._foreach_lerp_(self._first, gradients, 1 - BETAS[0])
        torch._foreach_mul_(self._second, BETAS[1])
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - BETAS[1])
        size = torch._foreach_sqrt(self._second)
        torch._foreach_add_(size, EPSILON * root)
        move = torch._foreach_div(self._first, size)
        torch._foreach_mul_(move, pace)
        torch._foreach_add_(list(self.weights), move)


class _Moments(nn.Module):
    """Running means of the gradient of one weight and of its square."""

    first: Tensor
    second: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("first", torch.zeros_like(weight))
        self.register_buffer("second", torch.zeros_like(weight))
