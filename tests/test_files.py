"""Writing files atomically, and the folder of the cache."""

import errno
import re
from pathlib import Path

import pytest

from hcsac import files
from hcsac.errors import UserError


def write(path, text):
    with files.write_atomically(path) as temporary:
        temporary.write_text(text[:3])
        if text == "fails":
            raise KeyboardInterrupt
        temporary.write_text(text)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "run.json"
    write(path, "first")
    write(path, "second")
    with pytest.raises(KeyboardInterrupt):
        write(path, "fails")
    assert path.read_text() == "second"
    assert [file for file in tmp_path.iterdir() if file.is_file()] == [path]


def test_the_cache_is_where_xdg_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder("rewards") == tmp_path / "hcsac" / "rewards"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.cache_folder("rewards") == Path.home() / ".cache" / "hcsac" / "rewards"


def test_file_names_are_written_in_one_place():
    """In the modules that read and write runs and policies; elsewhere they may be in texts."""
    names = [*files.JSON_FILES, *files.JSONL_FILES, files.CHECKPOINT, files.TRANSITIONS, files.METADATA, files.TENSORS]
    literal = re.compile("|".join(rf'"{re.escape(name)}"' for name in names))
    source = Path(files.__file__).parent
    modules = [*(source / "training").rglob("*.py"), *(source / "policy").rglob("*.py")]
    assert [str(path) for path in modules if literal.search(path.read_text())] == []


def test_errors_of_the_system_are_found_in_those_of_libraries(tmp_path):
    assert files.system_error(RuntimeError("file write failed: errno = 28, error message = 'x'")).errno == errno.ENOSPC
    assert files.system_error(ValueError("I/O error: No space left on device (os error 28)")).errno == errno.ENOSPC
    own = PermissionError(errno.EACCES, "denied")
    assert files.system_error(own) is own
    assert files.system_error(RuntimeError("another")) is None
    full = pytest.raises(UserError, match=r"cannot write to .* \(No space left on device\); free some space")
    with full, files.told(tmp_path):
        raise RuntimeError("flush failed (errno = 28)")
    with pytest.raises(RuntimeError, match="another"), files.told(tmp_path):
        raise RuntimeError("another")
