"""Grids as files: what they spell out, and that every slip in one is a sentence that names the mend."""

import json
from pathlib import Path

import pytest

from hcsac.data import store
from hcsac.errors import UserError
from hcsac.experiments import begin, read_grid, read_record, slides_grid
from tests.conftest import TASKS, slide_episodes

ROOT = Path(__file__).parents[2]
GRID = """
preset = "slides"
agents = ["bc", "hcsac"]
seeds = [0, 1]

[datasets]
medium = ["lab/slide-left-medium-v0", "lab/slide-right-medium-v0"]

[settings]
updates = 6

[vary]
cql_weight = [1.0, 5.0]

[variants]
base = {}
concat = { embedding = "concat", agents = ["hcsac"] }
shifted = { alignment = "off_by_one", agents = ["hcsac"] }

[published.medium.slide-left]
bc = [5.5, 0.5]
hcsac = 7
"""


@pytest.fixture(autouse=True)
def stored():
    for name in TASKS:
        store.write(f"lab/{name}-medium-v0", name, slide_episodes(name))


@pytest.fixture
def read(tmp_path):
    def write(text):
        (tmp_path / "study.toml").write_text(text)
        return read_grid(tmp_path / "study.toml")

    return write


def test_every_combination_is_a_cell(read, tmp_path):
    grid = read(GRID)
    cells = grid.cells(tmp_path / "out")
    # base: (bc on 2 tasks + hcsac) x 2 weights; concat and shifted: hcsac x 2 weights; each 2 seeds apart
    assert len(cells) == (3 * 2 + 2 + 2) * 2
    assert len({cell.path for cell in cells}) == len(cells)
    first, last = cells[0], cells[-1]
    assert (first.dataset, first.variant, first.agent, first.tasks, first.seeds) == (
        "medium", "base,cql_weight=1.0", "bc", ("slide-left",), (0,),
    )  # fmt: skip
    assert first.refs == ("lab/slide-left-medium-v0",)
    assert first.path == tmp_path / "out/medium/base-cql_weight=1.0/bc/slide-left/seed-0"
    assert last.tasks == ("slide-left", "slide-right")
    assert (last.alignment, last.settings.cql_weight, last.settings.updates) == ("off_by_one", 5.0, 6)
    assert {cell.settings.embedding for cell in cells if cell.variant.startswith("concat")} == {"concat"}
    assert grid.published["medium"]["slide-left"] == {"bc": (5.5, 0.5), "hcsac": (7.0, None)}


def test_seeds_together_are_replicas(read, tmp_path):
    cells = read('replicas = "together"\n' + GRID).cells(tmp_path)
    assert {cell.seeds for cell in cells} == {(0, 1)}
    assert len(cells) == 10


def test_the_slides_grid(tmp_path):
    grid = slides_grid("slides", "lab", (0,), levels=("medium",), tasks=("slide-left", "slide-right"))
    assert [(c.dataset, c.agent, c.tasks) for c in grid.cells(tmp_path)] == [
        ("medium", "bc", ("slide-left",)), ("medium", "bc", ("slide-right",)),
        ("medium", "csac", ("slide-left",)), ("medium", "csac", ("slide-right",)),
        ("medium", "mtcsac", ("slide-left", "slide-right")), ("medium", "hcsac", ("slide-left", "slide-right")),
    ]  # fmt: skip


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda path: path.stem)
def test_published_grids_are_sound(path, tmp_path):
    grid = read_grid(path)
    for refs in grid.datasets.values():
        for ref in refs:
            if not ref.startswith("sample/"):
                task = next(task for task in ("walker-walk", "walker-run") if task in ref)
                store.write(ref, task, store.read(f"sample/{task}-medium-v0")[1][:1])
    assert grid.cells(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("preset =", "preste ="), "unknown key 'preste'; did you mean 'preset'?"),
        (('"hcsac"]\nseeds', '"hcsca"]\nseeds'), "unknown agent 'hcsca'; did you mean 'hcsac'?"),
        (('preset = "slides"', 'preset = "slide"'), "did you mean 'slides'?"),
        (("updates = 6", "update = 6"), "settings: unknown setting 'update'; did you mean 'updates'?"),
        (("updates = 6", 'updates = "six"'), "settings: setting updates = 'six' is not of type int"),
        (("{ embedding =", "{ embeding ="), "variant 'concat,cql_weight=1.0': unknown setting 'embeding'"),
        (('"concat", agents = ["hcsac"]', '"concat", agents = ["mtcsac"]'), "unknown agent of variant 'concat'"),
        (("off_by_one", "off_by_two"), "unknown alignment 'off_by_two'; did you mean 'off_by_one'?"),
        (("lab/slide-left-medium-v0", "lab/slide-lift-medium-v0"), "did you mean 'lab/slide-left-medium-v0'?"),
        (("published.medium.", "published.mdium."), "unknown dataset under published 'mdium'"),
        (("medium.slide-left]", "medium.slide-lift]"), "did you mean 'slide-left'?"),
        (("bc = [5.5, 0.5]", 'bc = "good"'), "key published has the wrong form; write bc = [551.5, 125.2]"),
        (("seeds = [0, 1]", "seeds = [0, 0]"), "seeds = [0, 1, 2], each once"),
        (("seeds = [0, 1]", "seeds = []"), "a grid without seeds has nothing to run"),
        (("[1.0, 5.0]", "1.0"), "key vary has the wrong form"),
        (("[datasets]", "[dataset]"), "did you mean 'datasets'?"),
        (("[1.0, 5.0]", "[1, 1]"), "would share the directory"),
        (("base = {}", '"con.cat" = {}\n"con cat" = {}\n"con/cat" = {}'), "would share the directory"),
        (('embedding = "concat"', 'sharing = "utds"'), "ensemble of at least 5 critics"),
        (("seeds = [0, 1]", "seeds = [0, 1"), "not valid TOML"),
    ],
)
def test_a_slip_is_a_sentence(read, tmp_path, change, says):
    assert change[0] in GRID
    with pytest.raises(UserError) as error:
        read(GRID.replace(*change)).cells(tmp_path / "out")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_grid_is_held_to_how_it_began(read, tmp_path):
    out = tmp_path / "out"
    record = begin(read(GRID), out)
    assert read_record(out) == record
    assert begin(read(GRID), out) == record
    changed = read(GRID.replace("updates = 6", "updates = 7"))
    with pytest.raises(UserError, match="20 cells changed, as medium base,cql_weight=1.0 bc slide-left seed 0 "
                                        r"\(updates 6 became 7\)"):  # fmt: skip
        begin(changed, out)
    assert read_record(out) == record
    with pytest.raises(UserError, match="10 cells new"):
        begin(read(GRID.replace("seeds = [0, 1]", "seeds = [0, 1, 2]")), out)
    fewer = GRID.replace('concat = { embedding = "concat", agents = ["hcsac"] }\n', "")
    with pytest.raises(UserError, match=r"4 cells gone, as medium concat,cql_weight=1\.0 hcsac"):
        begin(read(fewer), out)


def test_a_grid_goes_on_as_it_began_on_a_machine_of_another_kind(read, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    began = begin(read(GRID), tmp_path / "gpu")
    assert {cell.seeds for cell in began.cells} == {(0, 1)}
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert begin(read(GRID), tmp_path / "gpu") == began
    apart = begin(read(GRID), tmp_path / "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert begin(read(GRID), tmp_path / "cpu") == apart
    with pytest.raises(UserError, match="began as another grid"):
        begin(read('replicas = "together"\n' + GRID), tmp_path / "cpu")


def test_accepted_changes_lose_nothing(read, tmp_path):
    out = tmp_path / "out"
    first = begin(read(GRID), out).cells[0].path
    first.mkdir(parents=True)
    (first / "run.json").write_text("a run")
    begin(read(GRID.replace("updates = 6", "updates = 7")), out, accept_changes=True)
    assert not first.exists()
    assert (first.with_name("seed-0.before-1") / "run.json").read_text() == "a run"
    assert read_record(out).cells[0].settings.updates == 7


def test_other_directories_and_records_are_left_alone(read, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is not a grid"):
        begin(read(GRID), out)
    with pytest.raises(UserError, match="holds no grid"):
        read_record(out)
    record = begin(read(GRID), tmp_path / "two")
    held = json.loads((record.output / "grid.json").read_text())
    (record.output / "grid.json").write_text(json.dumps(held | {"format": 99}))
    with pytest.raises(UserError, match="newer hcsac"):
        begin(read(GRID), record.output)
    (record.output / "grid.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_record(record.output)
