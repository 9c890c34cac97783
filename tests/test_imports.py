"""Data flows one way: a module imports only from rooms above its own."""

import ast
from pathlib import Path

import pytest

import hcsac

SOURCE = Path(hcsac.__file__).parent
ORDER = [
    "errors", "types", "settings", "tasks", "data", "sharing", "networks", "losses", "agents", "evaluation",
    "training", "collection", "experiments", "cli",
]  # fmt: skip
FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")


def room(path):
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            if node.module == "hcsac":  # from hcsac import room
                yield from ((f"hcsac.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield str(node.module), node.lineno


def test_every_room_has_its_place():
    assert {room(path) for path in FILES} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_from_above(path):
    for name, line in imports(path):
        where = f"{path.relative_to(SOURCE)}:{line} imports {name}"
        if name.startswith("hcsac."):
            assert ORDER.index(name.split(".")[1]) <= ORDER.index(room(path)), where
        if name.split(".")[0] in ("dm_control", "mujoco"):
            assert room(path) == "tasks", where
        if name.split(".")[0] == "gymnasium":
            assert room(path) in ("tasks", "evaluation"), where  # evaluation: the type of what tasks hand it
        if name.split(".")[0] == "minari":
            assert room(path) == "data", where
        if name.split(".")[0] == "pickle":
            raise AssertionError(where)
        if name == "torch":
            assert room(path) not in ("tasks", "data"), where


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_pickle_is_loaded(path):
    text = path.read_text()
    for word in ("torch.load(", "allow_pickle=True", "torch.save("):
        assert word not in text
