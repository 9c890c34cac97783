"""The documentation is held to the code: its site builds, its commands run, its names exist."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import gymnasium
import pytest
import torch

import hcsac
from hcsac import experiments
from hcsac.algorithms import ALGORITHMS, PRESETS, make_algorithm, preset, resolve
from hcsac.algorithms.td3 import TD3
from hcsac.cli import main
from hcsac.collection import CollectSettings
from hcsac.data.formats import FORMATS
from hcsac.evaluation import rollout
from hcsac.registry import SHARING_RULES
from hcsac.settings import _HOMES
from hcsac.sharing.active import ActiveDataset
from hcsac.tasks import registry
from hcsac.training import train
from hcsac.types import Spec

ROOT = Path(hcsac.__file__).parents[2]
DOCS = ROOT / "docs"
if not DOCS.is_dir():
    pytest.skip("the documentation is not beside an installed package", allow_module_level=True)

PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = ("text", "toml", "csv", "console", "diff", "sh")  # blocks that are read, or of which each line runs
RUN = (
    "tutorials/own-robot.md",
    "index.md",
    *(
        f"how-to/{page}.md"
        for page in (
            "callbacks",
            "collect",
            "distil",
            "evaluate-without-a-simulator",
            "import",
            "draw-rare-states",
            "studies",
            "add-a-metric",
            "add-a-task",
            "train-a-new-task",
            "ask-by-a-number",
            "compare",
            "read-a-format",
            "resume",
            "write-an-algorithm",
            "write-a-sharing-rule",
        )
    ),
)
BUDGET = {
    "--updates": "8", "updates": "8", "--episodes": "1", "episodes": "1", "--steps": "8", "--random-steps": "5000",
    "steps": "8", "--seconds": "0.1",
}  # fmt: skip
FEW = ("--evaluation-episodes", "1", "--final-episodes", "1")


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """An empty folder to run in; tasks, formats, environments and modules that a page makes are forgotten after it."""
    kinds = (registry.TASKS, FORMATS, experiments.METRICS, ALGORITHMS, SHARING_RULES)
    tables = [table for kind in kinds for table in (kind._items, kind._origins)] + [gymnasium.registry, _HOMES]
    held = [(table, dict(table)) for table in tables]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HCSAC_PLUGINS", "")  # what --plugin adds there is gone after the page
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for table, before in held:
        table.clear()
        table.update(before)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", RUN)
def test_every_block_of_the_page_runs(page, scratch, monkeypatch, capfd):
    """In the order they stand in; updates and episodes are few and short, and runs of studies are not started."""
    monkeypatch.setattr(experiments, "run_all", lambda runs, *_, **__: [])
    monkeypatch.setattr(rollout, "time_limit", lambda task: 40)
    names: dict[str, object] = {"__name__": "page"}
    ran = 0
    for language, title, text in BLOCK.findall((DOCS / page).read_text()):
        if title:
            (scratch / title).write_text(_cut(text))
        elif language == "python":
            exec(compile(text, page, "exec"), names)
            ran += 1
        else:
            assert language in SHOWN
        if language == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                _run(shlex.split(_cut(line), comments=True), monkeypatch)
                ran += 1
    assert ran > 1


def _cut(text):
    """The text with `BUDGET` in place of what it says."""
    options = "|".join(re.escape(name) for name in BUDGET)
    return re.sub(rf"({options})( = | )(\d+)", lambda found: found[1] + found[2] + BUDGET[found[1]], text)


def _run(words, monkeypatch):
    match words:
        case []:
            pass
        case ["export", setting]:
            name, value = setting.split("=")
            monkeypatch.setenv(name, value)
            if name == "PYTHONPATH":
                monkeypatch.syspath_prepend(os.path.abspath(value))
        case ["python", file]:
            runpy.run_path(file, run_name="__main__")
        case ["hcsac", *arguments]:
            with pytest.raises(SystemExit) as stop:
                main([*arguments, *FEW] if arguments[0] == "train" else arguments)
            assert stop.value.code == 0, words
        case _:
            pytest.fail(f"a page shows a command that this test cannot run: {shlex.join(words)}")


def test_every_task_of_the_suite_is_listed():
    page = (DOCS / "reference" / "tasks.md").read_text()
    ours = [name for name, task in registry.TASKS.items() if str(task.env_id).startswith("hcsac/")]
    assert [
        name for name in ours if not name.startswith(("walker-speed:", "walker-pace:")) and f"`{name}`" not in page
    ] == []


def logged_by(agent, slides):
    """The names that the agent logs, in one update of every stage."""
    tasks = slides.task_names[:1] if agent == "csac" else slides.task_names
    data = slides.select(tasks)
    settings = resolve(agent, preset("quick", agent).replace({"batch_size": 4, "device": "cpu"}), tasks)
    cpu = torch.device("cpu")
    made = make_algorithm(agent, Spec(data.observation_size, data.action_size, tasks), settings, [0])
    active, names = ActiveDataset(data, 0.99, "keep", [torch.Generator().manual_seed(0)], cpu), set()
    for update in {made.stage(update): update for update in range(settings.updates)}.values():
        made.updates = update
        names |= set(made.advance(active.sample(*made.next_draw())))
    return names


def every_setting():
    """The settings of all algorithms."""
    return {name for algorithm in ALGORITHMS.names() for name in preset("slides", algorithm).as_dict()}


def named_on(page, title):
    """The names in code under a heading of a page."""
    section = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{page} has no heading {title!r}"
    return set(re.findall(r"`(\w+)`", section[1]))


@pytest.mark.parametrize("agent", ALGORITHMS.names())
def test_the_page_of_an_agent_names_what_it_logs(agent, slides):
    logged, named = logged_by(agent, slides), named_on(f"algorithms/{agent}.md", "What is logged")
    assert logged <= named
    stale = named - logged - every_setting() - set(PRESETS) - {"update", "seed"}
    assert not stale, f"{agent}.md explains {stale}, which is not logged"


def test_the_page_on_td3_names_what_it_logs(slides):
    data = slides.select(slides.task_names[:1])
    agent = TD3(Spec(3, 2, slides.task_names[:1]), CollectSettings(hidden_size=8).agent_settings(), [0])
    batch = ActiveDataset(data, 0.99, "keep", [torch.Generator().manual_seed(0)], torch.device("cpu")).sample(4)
    assert set(agent.advance(batch)) == named_on("algorithms/td3.md", "What is logged")


def test_the_reference_names_all_that_a_run_leaves(slides, tmp_path):
    settings = preset("quick", "hcsac").replace(
        {"updates": 4, "share_interval": 1, "batch_size": 48, "log_interval": 1, "final_episodes": 1}
    )
    run = train("hcsac", slides, tmp_path / "run", settings, progress=False)
    page = "reference/run-directory.md"
    assert set(run.identity()) <= named_on(page, "run.json")
    assert set(run.read_json("result.json")) == named_on(page, "result.json")
    evaluated = next(run.lines("evaluations.jsonl"))
    assert set(evaluated) == named_on(page, "evaluations.jsonl")
    assert set(next(run.lines("sharing.jsonl"))) <= named_on("algorithms/sharing.md", "The sharing log")
    text = (DOCS / page).read_text()
    assert [path.name for path in run.path.iterdir() if f"`{path.name}" not in text] == []


def test_the_glossary_gives_the_unit_of_every_interval():
    settings = every_setting()
    named = named_on("glossary.md", "Units of time")
    assert {name for name in settings if name.endswith("_interval")} <= named
    assert named <= settings


def test_links_lead_to_files():
    """As they do where the pages are read in the repository; inside the site, building it says so."""
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            assert "://" in link or (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_the_citation_names_the_version():
    citation, project = (ROOT / "CITATION.cff").read_text(), tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [project["project"]["version"]]


class Fetched(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(given.get("src") or "")
        if tag == "link":
            self.found.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("material", reason="needs the extra docs: pip install 'hcsac[docs]'")
    pytest.importorskip("mkdocstrings", reason="needs the extra docs: pip install 'hcsac[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_holds_every_page(site):
    missing = [page for page in PAGES if not (site / page.relative_to(DOCS)).with_suffix(".html").exists()]
    assert missing == []
    assert (site / "benchmarks/RESULTS.html").exists()


def test_the_site_fetches_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(page.read_text())
        assert parser.found
        assert [link for link in parser.found if re.match(r"(\w+:)?//", link)] == []
    styles = "".join(sheet.read_text() for sheet in site.rglob("*.css"))
    assert not re.search(r"url\([\"']?(https?:)?//|@import", styles)


def test_the_reference_has_every_setting(site):
    page = (site / "reference/settings.html").read_text()
    assert [name for name in every_setting() if f"<code>{name}</code>" not in page] == []
    collecting = (site / "algorithms/td3.html").read_text()
    assert [name for name in vars(CollectSettings()) if f"<code>{name}</code>" not in collecting] == []


def test_the_reference_has_all_that_the_package_exports(site):
    pages = "".join(page.read_text() for page in (site / "reference").glob("*.html"))
    assert [name for name in hcsac.__all__ if f'id="hcsac.{name}"' not in pages] == []
