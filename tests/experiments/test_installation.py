"""`hcsac doctor`."""

from hcsac.experiments import installation
from tests.conftest import run


def test_the_doctor_checks_everything_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(installation.tempfile, "tempdir", str(tmp_path))
    assert run("doctor") == 0
    out = capsys.readouterr().out
    for name in ("python", "packages", "processor", "threads", "precision", "compiler"):
        assert f"\n{name}" in f"\n{out}"
    assert [line.split(":")[0].split()[1] for line in out.splitlines() if line.startswith("ok ")] == [
        "data", "training", "simulator", "export", "policy"
    ]  # fmt: skip
    assert not list(tmp_path.glob("hcsac-doctor-*"))


def test_a_step_that_fails_is_named(monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no simulator here")

    monkeypatch.setattr(installation, "_train", broken)
    assert run("doctor") == 1
    said = capsys.readouterr()
    assert "FAILED     training: RuntimeError: no simulator here" in said.err
    assert "everything works" not in said.out
