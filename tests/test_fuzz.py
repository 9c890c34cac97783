"""The short form of `python -m fuzz`: some damaged files for every reader of files that may come from anyone."""

import os
import time

import pytest

from fuzz import inputs
from fuzz.inputs import run
from fuzz.readers import READERS


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_in_a_sentence_or_read(name, tmp_path):
    found = run(READERS[name], count=40, seed=len(name), kept=tmp_path / "kept")
    told = "".join(path.read_text() for path in tmp_path.glob("kept/*.txt"))
    assert found["refused"] + found["read"] == found.total() == 40, told


def test_a_reader_that_fails_is_seen(tmp_path):
    """Of a reader that believes its file: another value, an exception, a crash of the process and a hang are told."""

    def read(folder):
        content = (folder / "x").read_bytes()
        if content != b"sound" * 4:
            match len(content) % 4:
                case 0:
                    return content
                case 1:
                    raise KeyError(content)
                case 2:
                    os.kill(os.getpid(), 9)
                case _:
                    time.sleep(60)
        return content

    reader = inputs.Reader(lambda folder: (folder / "x").write_bytes(b"sound" * 4), read, ("x",), summed=True)
    seconds, inputs.SECONDS = inputs.SECONDS, 1
    try:
        found = run(reader, count=12, seed=0, kept=tmp_path)
    finally:
        inputs.SECONDS = seconds
    assert found.total() == 12
    assert {"other value", "traceback", "crash", "hang"} <= set(found)
    assert {path.read_text().split("\n")[0] for path in tmp_path.glob("*.txt")} == set(found) - {"refused", "read"}
