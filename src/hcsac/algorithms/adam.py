"""Adam as one elementwise step for every replica and critic, able to compile together with the losses."""

from collections.abc import Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Adam:
    """Kingma & Ba 2015 (arXiv 1412.6980) with PyTorch's defaults, over parameters with any leading axes.

    `torch.optim.Adam` computes the same, but leaves a compiled region at every step.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float):
        self.parameters = list(parameters)
        self.rate = rate
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]
        self.count = torch.zeros((), device=self.parameters[0].device)

    def step(self, loss: Tensor) -> None:
        """One descent on the sum over replicas, touching only these parameters (zero gradient where it has none)."""
        gradients = list(torch.autograd.grad(loss.sum(), self.parameters, materialize_grads=True))
        with torch.no_grad():
            self.count += 1
            if torch.compiler.is_compiling():
                self._plain(gradients)
            else:
                self._fused(gradients)

    def _fused(self, gradients: list[Tensor]) -> None:
        """PyTorch's own kernel: one pass over memory, but a wall to the compiler."""
        torch._fused_adam_(
            self.parameters, gradients, self.first, self.second, [], [self.count] * len(gradients), lr=self.rate,
            beta1=BETAS[0], beta2=BETAS[1], weight_decay=0.0, eps=EPSILON, amsgrad=False, maximize=False,
        )  # fmt: skip

    def _plain(self, gradients: list[Tensor]) -> None:
        """The same in operations that a compiler fuses."""
        root = (1 - BETAS[1] ** self.count).sqrt()
        pace = -self.rate * root / (1 - BETAS[0] ** self.count)
        torch._foreach_lerp_(self.first, gradients, 1 - BETAS[0])
        torch._foreach_mul_(self.second, BETAS[1])
        torch._foreach_addcmul_(self.second, gradients, gradients, 1 - BETAS[1])
        size = torch._foreach_sqrt(self.second)
        torch._foreach_add_(size, EPSILON * root)
        move = torch._foreach_div(self.first, size)
        torch._foreach_mul_(move, pace)
        torch._foreach_add_(self.parameters, move)

    def state(self, name: str) -> dict[str, Tensor]:
        """Moments and the count of steps under `name`."""
        kinds = {"first": self.first, "second": self.second}
        named = {f"{name}.{i}.{kind}": tensor for kind, tensors in kinds.items() for i, tensor in enumerate(tensors)}
        return named | {f"{name}.count": self.count}

    @torch.no_grad()
    def load_state(self, name: str, state: dict[str, Tensor]) -> None:
        """The reverse of `state`."""
        for key, tensor in self.state(name).items():
            tensor.copy_(state[key])
