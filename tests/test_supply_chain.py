"""Lock files: every package by version and hash."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "supply_chain.py"
HASH = "    --hash=sha256:" + "0" * 64


@pytest.fixture(scope="module")
def tool():
    if not TOOL.exists():
        pytest.skip("needs tools/, which is not beside an installed package")
    spec = importlib.util.spec_from_file_location("supply_chain", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_package_without_version_or_hash_is_found(tool):
    sound = f"# Made by a tool.\na==1.0 \\\n{HASH} \\\n{HASH}\nb==2 ; python_version < '3' \\\n{HASH}\n"
    assert tool.without_hash(sound) == []
    assert tool.without_hash(sound + "c==3\n") == ["c==3"]
    assert tool.without_hash(f"d>=1 \\\n{HASH}\n" + sound) == ["d>=1"]


def test_every_lock_file_is_hashed(tool):
    assert len(tool.LOCKS) >= 3
    for lock in tool.LOCKS:
        assert tool.without_hash(lock.read_text()) == [], lock.name
        assert lock.read_text().count("==") > 0


def test_what_is_not_installed_is_skipped_with_a_word(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "_tool", lambda name: None)
    assert tool.write_sbom(tool.LOCKS[0], tmp_path / "sbom.json").startswith("SBOM: skipped")
    told, sound = tool.audit(tool.LOCKS[0])
    assert told.startswith("audit: skipped")
    assert sound
