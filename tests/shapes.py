"""Checks the shapes of functions while tests run, from their jaxtyping annotations: `Float[Tensor, "R E B"]`.

The package imports jaxtyping for type checkers alone, so that it needs none to run. Here the annotations are resolved,
and each function is replaced by one that beartype checks: within one call a letter stands for one size everywhere.
A compiler that traces a function gets the plain one.
"""

import functools
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import torch

PACKAGES = ("hcsac.losses", "hcsac.networks")


def install() -> int:
    """Check all annotated functions of `PACKAGES` and say how many; 0 where jaxtyping or beartype is missing."""
    try:
        import beartype
        import jaxtyping
    except ImportError:
        return 0
    check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))  # an int is a float
    names = {name: getattr(jaxtyping, name) for name in ("Bool", "Float", "Int", "Real")}
    replaced: dict[FunctionType, Callable[..., Any]] = {}
    for module in modules():
        for owner, name, function in functions(module):
            function.__annotations__ = typing.get_type_hints(function, module.__dict__ | names, include_extras=True)
            replaced[function] = checked(function, jaxtyping.jaxtyped(function, typechecker=check))
            if inspect.isclass(owner):
                setattr(owner, name, replaced[function])
    for module in [module for name, module in sys.modules.items() if name.startswith("hcsac.")]:
        for name, value in list(vars(module).items()):  # also where `from hcsac.losses.sac import ...` put it
            if isinstance(value, FunctionType) and value in replaced:
                setattr(module, name, replaced[value])
    return len(replaced)


def modules() -> Iterator[ModuleType]:
    """Those of `PACKAGES`."""
    for package in map(import_module, PACKAGES):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def functions(module: ModuleType) -> Iterator[tuple[Any, str, FunctionType]]:
    """Owner, name and function of all that the module defines and that an annotation gives a shape."""
    classes = [
        value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    for owner in (module, *classes):
        for name, value in vars(owner).items():
            own = isinstance(value, FunctionType) and value.__module__ == module.__name__
            if own and any("[Tensor, " in str(hint) for hint in value.__annotations__.values()):
                yield owner, name, value


def checked(plain: FunctionType, checking: Callable[..., Any]) -> Callable[..., Any]:
    """`checking`, but `plain` where torch.compile or torch.export traces, which cannot trace the checks."""

    @functools.wraps(plain)
    def function(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs) if torch.compiler.is_compiling() else checking(*args, **kwargs)

    return function
