"""The report on disk: what is written, what is refused, and that nothing of it is read as HTML or fetched."""

import re
from html.parser import HTMLParser

import pytest

from hcsac.errors import UserError
from hcsac.experiments import read_returns, write_report
from hcsac.experiments.report import html
from tests.conftest import run
from tests.experiments.report.conftest import NASTY


class Tags(HTMLParser):
    """The tags of a page and where they point."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.text, self._in = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "data", "srcset", "poster")]

    def handle_endtag(self, tag):
        while self._in and self._in.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self._in):
            self.text.append(data)


@pytest.fixture
def written(study, monkeypatch):
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    return write_report(study, videos=False)


def test_what_is_written(study, written):
    assert written.page == study.output / "report.html"
    assert written.markdown.read_text().startswith("<!-- hcsac study report -->\n# A ")
    assert len(read_returns(written.returns)) == 264
    assert written.tables.count("\nDataset  Task ") == 2
    assert "Against its data" in written.tables
    assert written.note == "Videos were left out."
    assert {path.name for path in study.output.iterdir()} == {
        "medium", "replay", "study.json", "events.jsonl", "report.html", "report.md", "returns.parquet",
        "metrics.parquet",
    }  # fmt: skip


def test_names_are_text_and_nothing_is_fetched(written):
    text = written.page.read_text()
    held = Tags(text)
    assert NASTY in "".join(held.text)
    assert "alert(1)</script>" not in text
    assert "b" not in held.tags[held.tags.index("h2") :]  # the counts above have some
    assert held.tags.count("script") == 20 + 2  # charts, Plotly and ours
    assert [link for link in held.links if not link.startswith("#")] == []
    assert not re.search(r"url\(|@import|https?:", text)
    assert "default-src 'none'" in text
    for words in ("Not in this report, because failed", "With 2 seeds the intervals are narrower", "bad &lt;luck&gt;"):
        assert words in text
    assert str(written.page.parent) not in text


def test_the_same_runs_give_the_same_report(study, written):
    before = written.page.read_bytes(), written.markdown.read_bytes()
    again = write_report(study, videos=False)
    assert (again.page.read_bytes(), again.markdown.read_bytes()) == before


def test_nothing_else_is_overwritten(study, tmp_path):
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    with pytest.raises(UserError, match=r"mine.html exists and is not an earlier report; choose another --output"):
        write_report(study, tmp_path / "mine.html")
    (tmp_path / "a.md").write_text("# Mine")
    with pytest.raises(UserError, match=r"a.md exists and is not an earlier report"):
        write_report(study, tmp_path / "a.html")
    (tmp_path / "returns.parquet").write_text("mine")
    with pytest.raises(UserError, match=r"returns.parquet exists and is not an earlier report's"):
        write_report(study, tmp_path / "b.html")
    (tmp_path / "returns.parquet").unlink()
    (tmp_path / "metrics.parquet").write_text("mine")
    with pytest.raises(UserError, match=r"metrics.parquet exists and is not an earlier report's"):
        write_report(study, tmp_path / "b.html")
    with pytest.raises(UserError, match=r"report.pdf does not end in .html"):
        write_report(study, tmp_path / "report.pdf")
    assert {path.name for path in tmp_path.iterdir()} == {"mine.html", "a.md", "metrics.parquet", "study", "minari"}
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"


def test_a_report_of_an_earlier_release_is_replaced(study, written):
    for path in (written.page, written.markdown):
        path.write_text(path.read_text().replace("hcsac study report", "hcsac grid report"))
    written.metrics.unlink()
    again = write_report(study, videos=False)
    assert again.markdown.read_text().startswith("<!-- hcsac study report -->")
    assert again.metrics.exists()


def test_a_place_that_cannot_be_written(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file"):
        write_report(study, tmp_path / "file" / "report.html", videos=False)


def test_the_command_line(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    output = tmp_path / "there" / "page.html"
    assert run("study", "report", study.output, "--no-videos", "--output", output) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:3] == ["reading 11 of 12 runs", "statistics of 264 returns", "writing"]
    assert re.fullmatch(
        rf"written: {output} \(\d\.\d MB\), .*page\.md, .*returns\.parquet, .*metrics\.parquet", out[-1]
    )
    assert run("study", "report", tmp_path) == 2
    assert "no study found in" in capsys.readouterr().err
    for one in study.runs[:-1]:
        (one.path / "result.json").unlink()
    assert run("study", "report", study.output) == 2
    assert "no run is finished and evaluated yet" in capsys.readouterr().err
    assert not (study.output / "report.html").exists()


def test_a_study_at_a_url_is_reported_here(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("plotly.offline.get_plotlyjs", lambda: "/* plotly */")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = {path.name for path in study.output.iterdir()}
    assert run("study", "report", study.output.as_uri() + "/") == 0
    assert "Videos were left out." in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "here").iterdir()} == {
        "study.html",
        "study.md",
        "returns.parquet",
        "metrics.parquet",
    }
    assert {path.name for path in study.output.iterdir()} == before


def test_every_file_of_the_page_is_in_the_package():
    import tomllib
    from pathlib import Path

    here = Path(html.__file__).parent
    root = Path(__file__).parents[3]
    declared = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["hcsac"]
    held = {path for pattern in declared for path in (root / "src/hcsac").glob(pattern)}
    assert {path for path in here.iterdir() if path.suffix in (".j2", ".css", ".js")} <= held
