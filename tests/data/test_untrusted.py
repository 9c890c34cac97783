"""Files of strangers: code, links and absurd sizes are refused before anything of them is read."""

import io
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hcsac
from hcsac.data import load
from hcsac.data.formats import untrusted
from hcsac.data.formats.npz import read_episode
from hcsac.data.formats.untrusted import require_plain_hdf5, require_plain_npz
from hcsac.errors import UserError


class Bomb:
    """Sets a flag when it is unpickled."""

    hit: list = []  # noqa: RUF012

    def __reduce__(self):
        return Bomb.hit.append, (1,)


def header(shape, descr="<f4"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def episode(**changes):
    rows = {"observation": np.zeros((5, 3), np.float32), "action": np.zeros((5, 2), np.float32)}
    return rows | {"reward": np.ones((5, 1), np.float32)} | changes


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def test_a_plain_episode_is_read(tmp_path):
    np.savez(tmp_path / "e.npz", **episode())
    require_plain_npz(tmp_path / "e.npz")
    assert len(read_episode(tmp_path / "e.npz")) == 4


@pytest.mark.parametrize("key", ["action", "unknown"])
def test_pickled_objects_are_never_loaded(key, tmp_path):
    np.savez(tmp_path / "e.npz", **episode(**{key: np.array([Bomb()], object)}))
    with pytest.raises(UserError, match=r"has pickled objects .*, which are never loaded"):
        read_episode(tmp_path / "e.npz")
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"p\.npz"):
        read_episode(tmp_path / "p.npz")
    assert Bomb.hit == []


@pytest.mark.parametrize("shape", [(10**12, 3), (2**62, 2**62), (6, 3), (4, 3), (0,)])
def test_a_header_that_lies_is_refused_without_memory(shape, tmp_path):
    content = {name: _npy(array) for name, array in episode().items()}
    archive(tmp_path / "e.npz", **content | {"observation": header(shape) + bytes(60)})
    with pytest.raises(UserError, match=r"observation declares .* but holds"):
        read_episode(tmp_path / "e.npz")


def test_what_unpacks_to_a_hundredfold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "SMALL", 10_000)
    np.savez_compressed(tmp_path / "e.npz", **episode(observation=np.zeros((5, 30_000), np.float32)))
    with pytest.raises(UserError, match=r"bytes that unpack to \d+, which no real data do"):
        read_episode(tmp_path / "e.npz")


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@given(st.data())
def test_a_damaged_episode_is_an_error_or_as_before(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "e.npz"
    np.savez_compressed(path, **episode())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        read = read_episode(path)
    except UserError:
        return
    np.testing.assert_array_equal(read.observation, np.zeros((5, 3)))
    np.testing.assert_array_equal(read.reward, np.ones(4))


@pytest.fixture
def dataset(tmp_path):
    """A copy of a real dataset, and its file."""
    sample = Path(hcsac.__file__).parent / "sample"
    shutil.copytree(sample / "walker-walk-medium-v0", tmp_path / "walker-walk-medium-v0")
    return next((tmp_path / "walker-walk-medium-v0" / "data").glob("*.hdf5"))


def test_a_plain_dataset_is_read(dataset):
    require_plain_hdf5(dataset)
    assert len(load([str(dataset.parent.parent)])) > 0


def outside(file, name):
    """Another local file, whose content would be read in as `name`."""
    secret = file.parent / "secret.bin"
    secret.write_bytes(bytes(100_000))
    with h5py.File(file, "r+") as opened:
        shape = opened[name].shape
        del opened[name]
        opened.create_dataset(name, shape, "<f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def linked(file, name):
    with h5py.File(file.parent / "other.h5", "w") as other:
        other["x"] = np.zeros(3)
    with h5py.File(file, "r+") as opened:
        del opened[name]
        opened[name] = h5py.ExternalLink("other.h5", "x")


def virtual(file, name):
    with h5py.File(file.parent / "other.h5", "w") as other:
        other["x"] = np.zeros((3, 6), np.float32)
    with h5py.File(file, "r+") as opened:
        del opened[name]
        layout = h5py.VirtualLayout((3, 6), "<f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3, 6))
        opened.create_virtual_dataset(name, layout)


def absurd(file, name):
    with h5py.File(file, "r+") as opened:
        del opened[name]
        opened.create_dataset(name, (2**40, 6), "<f4", chunks=(1024, 6))


def references(file, name):
    with h5py.File(file, "r+") as opened:
        del opened[name]
        opened.create_dataset(name, (1,), h5py.ref_dtype)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(outside, "is kept in another file"), (linked, "is a link to another file"), (virtual, "is kept in another file"),
     (absurd, "which no real data do"), (references, "not numbers")],
)  # fmt: skip
def test_what_reaches_outside_or_cannot_be_is_refused(spoil, says, dataset):
    spoil(dataset, "episode_0/actions")
    with pytest.raises(UserError, match=says) as error:
        load([str(dataset.parent.parent)])
    assert str(dataset) in str(error.value)


def test_json_without_an_end_of_brackets_is_an_error(dataset):
    (dataset.parent / "metadata.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"metadata\.json"):
        load([str(dataset.parent.parent)])
