"""Values of a TOML file, converted to the types of the fields they are for."""

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


def converted(value: Any, hint: Any) -> Any:
    """`value` as the annotation `hint` has it: lists become tuples, whole numbers become floats.

    A fixed tuple, as tuple[float, float | None], may also be given as its first item, or without optional last items.

    Raises:
        ValueError: the value does not fit the annotation.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        return _require(value, value in parts)
    if origin in (Union, UnionType):
        return None if value is None and NoneType in parts else converted(value, parts[0])
    if origin is tuple and parts[-1] is ...:
        return tuple(converted(item, parts[0]) for item in _require(value, isinstance(value, list | tuple)))
    if origin is tuple:
        items = list(value) if isinstance(value, list | tuple) else [value]
        items += [None] * (len(parts) - len(items))
        return tuple(converted(item, part) for item, part in zip(items, parts, strict=True))
    if origin is list:
        return [converted(item, parts[0]) for item in _require(value, isinstance(value, list | tuple))]
    if origin is dict:
        _require(value, isinstance(value, Mapping))
        return {converted(key, parts[0]): converted(item, parts[1]) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _require(value, isinstance(value, hint) and (hint is bool or not isinstance(value, bool)))


def _require(value: Any, fits: bool) -> Any:
    if not fits:
        raise ValueError(value)
    return value
