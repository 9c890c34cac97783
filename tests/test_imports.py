"""Data flows one way: a module imports only from rooms above its own, and some libraries stay in their room."""

import ast
from pathlib import Path

import pytest

import hcsac

SOURCE = Path(hcsac.__file__).parent
ORDER = [
    "lazy", "errors", "files", "machine", "types", "registry", "settings", "tasks", "data", "sharing", "networks",
    "losses", "algorithms", "evaluation", "training", "policy", "collection", "experiments", "cli",
]  # fmt: skip
FILES = sorted(p for p in SOURCE.rglob("*.py") if p != SOURCE / "__init__.py")
# What is outside -> the rooms that may know it.
ONLY = {
    "dm_control": {"tasks"},
    "mujoco": {"tasks"},
    "gymnasium": {"tasks", "evaluation"},  # evaluation: the type of what tasks hand it
    "minari": {"data"},
    "h5py": {"data"},
    "click": {"cli"},
    "matplotlib": {"experiments"},
    "pyarrow": {"data", "training", "experiments"},
    "jinja2": {"experiments"},
    "plotly": {"experiments"},
    "scipy": {"data", "evaluation"},
    "av": {"evaluation"},
    "PIL": {"evaluation"},
    "tqdm": {"training"},
    "torch": {
        "types",
        "sharing",
        "networks",
        "losses",
        "algorithms",
        "training",
        "policy",
        "collection",
        "experiments",
        "cli",
    },
    "torch.nn": {"networks", "algorithms"},
    "torch.optim": {"algorithms"},
    "onnx": {"policy"},
    "onnxruntime": {"policy"},
    "time": {"tasks", "training", "policy", "collection", "experiments", "cli"},
    "wandb": {"training"},
    "mlflow": {"training"},
    "trackio": {"training"},
    "ray": {"experiments"},
    "fsspec": {"experiments"},
    "pickle": set(),
}


def room(file):
    """Of a path below src/hcsac."""
    return file.parts[0].removesuffix(".py")


def imports(tree):
    """Every name imported anywhere in the module, also inside functions, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def faults(file, text):
    """What breaks the order in a module, as `file:line imports name`."""
    here = room(file)
    for name, line in imports(ast.parse(text)):
        parts = name.split(".")
        if parts[0] == "":
            wrong = True  # a relative import hides its room
        elif parts[0] == "hcsac":  # the package's front alone lies below all rooms
            wrong = len(parts) == 1 or ORDER.index(parts[1]) > ORDER.index(here)
        else:
            wrong = any(here not in rooms for lib, rooms in ONLY.items() if f"{name}.".startswith(f"{lib}."))
        if wrong:
            yield f"{file}:{line} imports {name}"


def test_every_room_has_its_place():
    assert {room(path.relative_to(SOURCE)) for path in FILES} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_only_from_above(path):
    assert list(faults(path.relative_to(SOURCE), path.read_text())) == []


@pytest.mark.parametrize(
    ("file", "line", "breaks"),
    [
        ("losses/sac.py", "from hcsac.algorithms import base", True),
        ("losses/sac.py", "from hcsac import algorithms", True),
        ("losses/sac.py", "import hcsac.algorithms", True),
        ("losses/sac.py", "import hcsac", True),
        ("losses/sac.py", "from . import cql", True),
        ("losses/sac.py", "from ..settings import Settings", True),
        ("losses/sac.py", "from torch import optim", True),
        ("losses/sac.py", "def f():\n    from hcsac.training import loop", True),
        ("sharing/rules.py", "from torch import nn", True),
        ("data/formats/npz.py", "import torch", True),
        ("training/loop.py", "from dm_control import suite", True),
        ("algorithms/bc.py", "from hcsac.evaluation import Evaluator", True),
        ("settings.py", "from hcsac.tasks import get_task", True),
        ("training/log.py", "import pickle", True),
        ("losses/sac.py", "from hcsac.networks.actors import squashed_sample", False),
        ("losses/sac.py", "from hcsac import settings", False),
        ("tasks/environment.py", "from dm_control import suite", False),
        ("training/loop.py", "from hcsac.training import checkpoint", False),
    ],
)
def test_a_breach_is_named_with_its_line(file, line, breaks):
    found = list(faults(Path(file), f"x = 1\n{line}\n"))
    assert bool(found) == breaks
    for fault in found:
        assert fault.startswith(f"{file}:{3 if 'def' in line else 2} imports ")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_pickle_is_loaded(path):
    text = path.read_text()
    for word in ("torch.load(", "allow_pickle=True", "torch.save("):
        assert word not in text


def test_no_file_is_over_400_lines():
    assert [str(p) for p in FILES if len(p.read_text().splitlines()) > 400] == []
