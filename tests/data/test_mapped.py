"""Data larger than memory: the same numbers, from mapped files that are laid out once."""

import json
import random

import numpy as np
import pytest

from hcsac.data import load, store
from hcsac.data.formats import minari
from hcsac.errors import UserError
from tests.conftest import slide_episodes


@pytest.fixture
def refs():
    for seed, name in enumerate(("slide-left", "slide-right")):
        store.write(f"lab/{name}-v0", name, slide_episodes(name, seed=seed))
    store.write("lab/more-left-v0", "slide-left", slide_episodes("slide-left", seed=5))
    return ["lab/slide-left-v0", "lab/slide-right-v0", "lab/more-left-v0"]


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_equals_what_is_read(refs, tmp_path):
    for number, choice in enumerate([{}, {"alignment": "off_by_one"}, {"tasks": ["slide-right", "slide-left"]}]):
        read, mapped = load(refs, **choice), load(refs, **choice, folder=tmp_path / str(number))
        assert mapped.fingerprint() == read.fingerprint()
        for fact in ("mean_returns", "refs", "alignment", "task_names"):
            assert getattr(mapped, fact) == getattr(read, fact)
        assert isinstance(mapped.observations.base, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            mapped.reward[0] = 1


def test_is_laid_out_once_and_never_over_something_else(refs, tmp_path):
    folder = tmp_path / "laid"
    first = load(refs, folder=folder)
    before = files(folder)
    assert load(refs, folder=folder).fingerprint() == first.fingerprint()
    for other in (
        {"refs": refs[:2]},
        {"refs": refs, "alignment": "off_by_one"},
        {"refs": refs, "tasks": ["slide-left"]},
    ):
        with pytest.raises(UserError, match="has other data"):
            load(**other, folder=folder)
    assert files(folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(UserError, match="has something else in it"):
        load(refs, folder=tmp_path / "mine")
    assert list(files(tmp_path / "mine")) == ["notes.txt"]


def test_a_folder_of_an_older_format_is_written_again(refs, tmp_path):
    new = load(refs, folder=tmp_path / "laid")
    layout = json.loads((tmp_path / "laid" / "layout.json").read_text())
    old = {"made_from": layout["made_from"], "task_names": layout["task_names"], "behaviour": new.mean_returns}
    (tmp_path / "laid" / "layout.json").write_text(json.dumps(old))
    (tmp_path / "laid" / "episode_return.npy").unlink()
    again = load(refs, folder=tmp_path / "laid")
    assert (again.fingerprint(), again.refs, again.mean_returns) == (new.fingerprint(), new.refs, new.mean_returns)
    assert json.loads((tmp_path / "laid" / "layout.json").read_text()) == layout


def test_unusable_folders(refs, tmp_path):
    load(refs, folder=tmp_path / "laid")
    for text in ("{", "[]"):
        (tmp_path / "laid" / "layout.json").write_text(text)
        with pytest.raises(UserError, match="is corrupt"):
            load(refs, folder=tmp_path / "laid")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make"):
        load(refs, folder=tmp_path / "file" / "under")


def test_bad_data_leave_no_folder(refs, tmp_path, monkeypatch):
    def spoilt(episode):
        good = from_minari(episode)
        return type(good)(**{**vars(good), "reward": good.reward * np.nan})

    from_minari = minari.from_minari
    monkeypatch.setattr(minari, "from_minari", spoilt)
    with pytest.raises(UserError, match="dataset 'lab/slide-left-v0', episode 0: reward has NaN"):
        load(refs, folder=tmp_path / "laid")
    assert not list(tmp_path.glob("laid*"))


def test_a_flipped_bit_is_found_or_changes_nothing(refs, tmp_path):
    whole = load(refs, folder=tmp_path / "laid")
    draw, found = random.Random(0), 0
    for path in sorted((tmp_path / "laid").iterdir()):
        content = path.read_bytes()
        for _ in range(6):
            changed = bytearray(content)
            changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(changed)
            try:
                again = load(refs, folder=tmp_path / "laid")
            except UserError:
                found += 1
            else:
                assert again.fingerprint() == whole.fingerprint()
            path.write_bytes(content)
    assert found > 30
    (tmp_path / "laid" / "action.npy").unlink()
    with pytest.raises(UserError, match=r"action\.npy is corrupt .*; remove .*laid, and it is written again"):
        load(refs, folder=tmp_path / "laid")
