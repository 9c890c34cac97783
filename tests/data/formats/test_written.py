"""What is exported is read again equal to the last bit, whatever the format."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcsac.data import Episode, store
from hcsac.data.formats import FORMATS, OpenedDataset, export
from hcsac.errors import UserError
from tests.conftest import run, slide_episodes

WRITABLE = [name for name, item in FORMATS.items() if hasattr(item, "write")]
SUFFIX = {"hdf5": ".hdf5", "parquet": ".parquet"}
FIELDS = ("observation", "action", "reward", "terminated", "truncated", "physics")


def equal(one, other):
    """Whether two episodes have the same bytes."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in FIELDS]
    return all(
        x is y is None or (x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()) for x, y in pairs
    )


@st.composite
def episodes(draw):
    """Of one to three steps or more, that end in either way, with simulator states or without."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    states = draw(st.booleans())
    made = []
    for steps in draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)):
        last = np.arange(steps) == steps - 1
        fell = draw(st.booleans())
        made.append(
            Episode(
                random.normal(size=(steps + 1, 3)).astype(np.float32),
                random.uniform(-1, 1, (steps, 2)).astype(np.float32),
                random.normal(size=steps).astype(np.float32), last & fell, last & (not fell),
                random.normal(size=(steps + 1, 4)) if states else None,
            )
        )  # fmt: skip
    return made


@pytest.mark.parametrize("form", WRITABLE)
@settings(max_examples=25, deadline=None)
@given(made=episodes())
def test_it_is_read_again_equal_to_the_last_bit(form, made, tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / f"log{SUFFIX.get(form, '')}"
    export(iter(made), "slide-left", form, path)
    opened = OpenedDataset(str(path), "slide-left")
    again = list(opened)
    assert opened.format == form
    assert len(again) == len(made)
    assert all(map(equal, again, made))
    if opened.streams:
        assert opened.lengths == [len(episode) for episode in made]


def test_what_exists_stays_and_nothing_half_is_left(tmp_path):
    target = tmp_path / "log.hdf5"
    target.write_text("mine")
    with pytest.raises(UserError, match="exists; choose another --output"):
        export(iter(slide_episodes("slide-left")), "slide-left", "hdf5", target)
    assert target.read_text() == "mine"

    def broken():
        yield slide_episodes("slide-left")[0]
        raise UserError("the third is damaged")

    for form in WRITABLE:
        with pytest.raises(UserError, match="damaged"):
            export(broken(), "slide-left", form, tmp_path / "new")
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "minari") == ["log.hdf5"]
    with pytest.raises(UserError, match="did you mean 'hdf5'"):
        export(iter(()), "slide-left", "hdf", tmp_path / "new")


@pytest.mark.parametrize("form", WRITABLE)
def test_the_commands(form, tmp_path, capsys):
    store.write("lab/one-v0", "slide-left", slide_episodes("slide-left"))
    path = tmp_path / f"log{SUFFIX.get(form, '')}"
    assert run("data", "export", "lab/one-v0", "--format", form, "--output", path) == 0
    assert run("data", "import", path, "--task", "slide-left", "--name", "lab/two-v0") == 0
    assert f"source       {form}" in capsys.readouterr().out
    first, second = (store.read(name)[1] for name in ("lab/one-v0", "lab/two-v0"))
    assert all(map(equal, first, second))


def test_both_ends_of_a_last_step(tmp_path):
    """Gymnasium allows both; a terminal state is what counts."""
    one = slide_episodes("slide-left")[0]
    ended = replace(one, terminated=one.truncated)
    for form in WRITABLE:
        path = tmp_path / f"{form}{SUFFIX.get(form, '')}"
        export(iter([ended]), "slide-left", form, path)
        (again,) = OpenedDataset(str(path), "slide-left")
        assert again.terminated.tolist() == ended.terminated.tolist()
        assert not again.truncated.any()
