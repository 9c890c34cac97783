"""The whole update as one compiled region: losses, gradients, Adam and targets together, without a host in between."""

import os
import shutil
from collections.abc import Callable

import torch

from hcsac.errors import UserError
from hcsac.files import cache_folder
from hcsac.settings import Settings
from hcsac.types import Info

WORTH_COMPILING = 10_000  # updates that repay the half minute of a first compilation (docs/measurements.md)


def compile_update(recipe: Callable[..., Info]) -> Callable[..., Info]:
    """`recipe` compiled as one graph; the compiled code is kept for later runs in the user's cache folder.

    Gradients must be taken inside the region. Compiled apart from its backward pass, a loss stores every ReLU's mask as
    single bytes, which on a CPU took longer than all matrix products together.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder("compiled")))
    torch._dynamo.config.trace_autograd_ops = True
    # Counted over all trainings of a process: every stage of every algorithm is one.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1024
    return torch.compile(recipe, fullgraph=True)


def wants_compile(settings: Settings, updates: int) -> bool:
    """Whether to compile: `auto` does so for long runs, where there is a C++ compiler.

    Raises:
        UserError: `on` without a compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler) is not None
    if settings.compile == "on" and not found:
        raise UserError(f"setting compile = 'on' needs the C++ compiler {compiler!r}; install it or use --compile off.")
    return settings.compile == "on" or (settings.compile == "auto" and found and updates >= WORTH_COMPILING)
