"""Studies as files: the runs they consist of, and that every mistake in one is a sentence that says how to fix it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hcsac.data import store
from hcsac.data.episode import Episode
from hcsac.errors import UserError
from hcsac.experiments import read_record, read_study, slides_study, start_study
from hcsac.files import write_atomically
from hcsac.tasks import make_env
from tests.conftest import TASKS, slide_episodes

ROOT = Path(__file__).parents[2]
# Tested in tests/collection/test_file.py and test_more_steps.py.
ELSEWHERE = ("development.toml", "bodies-data.toml", "more-steps.toml")
STUDY_FILE = """
preset = "slides"
algorithms = ["bc", "hcsac"]
seeds = [0, 1]

[datasets]
medium = ["lab/slide-left-medium-v0", "lab/slide-right-medium-v0"]

[settings]
updates = 6

[vary]
cql_weight = [1.0, 5.0]

[variants]
base = {}
concat = { embedding = "concat", algorithms = ["hcsac"] }
shifted = { alignment = "off_by_one", algorithms = ["hcsac"] }

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
        return read_study(tmp_path / "study.toml")

    return write


def test_every_combination_is_a_run(read, tmp_path):
    study = read(STUDY_FILE)
    runs = study.runs(tmp_path / "out")
    # base: bc, which has no cql_weight, on 2 tasks, and hcsac x 2 weights; concat and shifted: hcsac x 2; 2 seeds apart
    assert len(runs) == (2 + 2 + 2 + 2) * 2
    assert len({one.path for one in runs}) == len(runs)
    first, last = runs[0], runs[-1]
    assert (first.dataset, first.variant, first.algorithm, first.tasks, first.seeds) == (
        "medium", "base", "bc", ("slide-left",), (0,),
    )  # fmt: skip
    assert first.refs == ("lab/slide-left-medium-v0",)
    assert first.path == tmp_path / "out/medium/base/bc/slide-left/seed-0"
    assert last.tasks == ("slide-left", "slide-right")
    assert (last.alignment, last.settings.cql_weight, last.settings.updates) == ("off_by_one", 5.0, 6)
    assert {one.settings.embedding for one in runs if one.variant.startswith("concat")} == {"concat"}
    assert study.published["medium"]["slide-left"] == {"bc": (5.5, 0.5), "hcsac": (7.0, None)}


def test_seeds_together_are_replicas(read, tmp_path):
    runs = read('replicas = "together"\n' + STUDY_FILE).runs(tmp_path)
    assert {one.seeds for one in runs} == {(0, 1)}
    assert len(runs) == 8


TWO = """
algorithms = ["bc", "csac", "hcsac"]
[datasets]
medium = ["lab/slide-left-medium-v0", "lab/slide-right-medium-v0"]
"""


def chosen(runs, algorithm, *names):
    """Variant and settings of the runs of an algorithm on its first task."""
    return [
        (run.variant, *(getattr(run.settings, name) for name in names))
        for run in runs
        if run.algorithm == algorithm and run.tasks[0] == "slide-left"
    ]


def test_what_an_algorithm_lacks_makes_one_run_of_it(read, tmp_path):
    runs = read(TWO + "[vary]\ncql_weight = [1.0, 5.0]\n").runs(tmp_path)
    assert chosen(runs, "bc") == [("",)]
    assert chosen(runs, "csac", "cql_weight") == [("cql_weight=1.0", 1.0), ("cql_weight=5.0", 5.0)]
    variants = '[variants]\nadd = { embedding = "add" }\nconcat = { embedding = "concat" }\n'
    runs = read(TWO + variants).runs(tmp_path)
    assert chosen(runs, "csac") == [("add",)]
    assert chosen(runs, "hcsac", "embedding") == [("add", "add"), ("concat", "concat")]


def test_a_table_of_settings_is_for_one_algorithm(read, tmp_path):
    runs = read(TWO + "[settings]\nupdates = 6\n[settings.bc]\nhidden_size = 32\n[settings.hcsac]\nupdates = 7\n").runs(
        tmp_path
    )
    assert chosen(runs, "bc", "updates", "hidden_size") == [("", 6, 32)]
    assert chosen(runs, "csac", "updates", "hidden_size") == [("", 6, 256)]
    assert chosen(runs, "hcsac", "updates") == [("", 7)]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[settings.bc]\ncql_weight = 1.0", "settings: bc has no setting 'cql_weight'"),
        ("[settings.bk]\nhidden_size = 1", "settings: unknown algorithm 'bk'; did you mean 'bc'?"),
        ("[settings]\ntd3_alpha = 1.0", "settings: unknown setting 'td3_alpha'"),
        ("[vary]\ntd3_alpha = [1.0]", "vary: unknown setting 'td3_alpha'"),
        ('[variants]\na = { algorithms = ["bc"], cql_weight = 1.0 }', "variant 'a': unknown setting 'cql_weight'"),
    ],
)
def test_a_setting_of_no_algorithm_of_the_study_is_refused(read, tmp_path, table, says):
    with pytest.raises(UserError) as error:
        read(f"{TWO}{table}\n").runs(tmp_path)
    assert says in str(error.value)


def test_the_slides_study(tmp_path):
    study = slides_study("slides", "lab", (0,), levels=("medium",), tasks=("slide-left", "slide-right"))
    assert [(c.dataset, c.algorithm, c.tasks) for c in study.runs(tmp_path)] == [
        ("medium", "bc", ("slide-left",)), ("medium", "bc", ("slide-right",)),
        ("medium", "csac", ("slide-left",)), ("medium", "csac", ("slide-right",)),
        ("medium", "mtcsac", ("slide-left", "slide-right")), ("medium", "hcsac", ("slide-left", "slide-right")),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    sorted(set((ROOT / "experiments").glob("*.toml")) - {ROOT / "experiments" / name for name in ELSEWHERE}),
    ids=lambda path: path.stem,
)
def test_published_studies_are_valid(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HCSAC_PLUGINS", "experiments.cube")
    study = read_study(path)
    for refs in study.datasets.values():
        for ref in {ref.partition("[")[0] for ref in refs}:
            if not ref.startswith("sample/") and not (store.local_store() / ref).exists():
                task = re.fullmatch(r"\w+/(.*?)(-medium|-medium-replay|-full-replay|-final)?-v0", ref)[1]
                env = make_env(task)
                S, A = env.observation_space.shape[0], env.action_space.shape[0]
                last = np.array([False, True])
                store.write(ref, task, [Episode(np.zeros((3, S), np.float32), np.zeros((2, A), np.float32),
                                                np.zeros(2, np.float32), ~last & last, last)])  # fmt: skip
    assert study.runs(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("preset =", "preste ="), "unknown key 'preste'; did you mean 'preset'?"),
        (('"hcsac"]\nseeds', '"hcsca"]\nseeds'), "unknown algorithm 'hcsca'; did you mean 'hcsac'?"),
        (('preset = "slides"', 'preset = "slide"'), "did you mean 'slides'?"),
        (("updates = 6", "update = 6"), "settings: unknown setting 'update'; did you mean 'updates'?"),
        (("updates = 6", 'updates = "six"'), "settings: setting updates = 'six' is not of type int"),
        (("{ embedding =", "{ embeding ="), "variant 'concat': unknown setting 'embeding'"),
        (
            ('"concat", algorithms = ["hcsac"]', '"concat", algorithms = ["mtcsac"]'),
            "unknown algorithm of variant 'concat'",
        ),
        (("off_by_one", "off_by_two"), "unknown alignment 'off_by_two'; did you mean 'off_by_one'?"),
        (("lab/slide-left-medium-v0", "lab/slide-lift-medium-v0"), "did you mean 'lab/slide-left-medium-v0'?"),
        (("published.medium.", "published.mdium."), "unknown dataset under published 'mdium'"),
        (("medium.slide-left]", "medium.slide-lift]"), "did you mean 'slide-left'?"),
        (("bc = [5.5, 0.5]", 'bc = "good"'), "key published has the wrong form; write bc = [551.5, 125.2]"),
        (("seeds = [0, 1]", "seeds = [0, 0]"), "seeds = [0, 1, 2], each once"),
        (("seeds = [0, 1]", "seeds = []"), "a study without seeds has nothing to run"),
        (("[1.0, 5.0]", "1.0"), "key vary has the wrong form"),
        (("[datasets]", "[dataset]"), "did you mean 'datasets'?"),
        (("[1.0, 5.0]", "[1, 1]"), "vary: cql_weight lists a value twice; give each once"),
        (("base = {}", '"con.cat" = {}\n"con cat" = {}\n"con/cat" = {}'), "would share the directory"),
        (('embedding = "concat"', 'sharing = "utds"'), "needs critics of at least 5"),
        (("seeds = [0, 1]", "seeds = [0, 1"), "not valid TOML"),
        (("seeds = [0, 1]", "seeds = [-1]"), "seeds = [0, 1, 2], each once"),
        (("seeds = [0, 1]", "seeds = [true]"), "seeds = [0, 1, 2], each once"),
        (("[1.0, 5.0]", "[]"), "key vary has the wrong form"),
        (('["bc", "hcsac"]', '"bc"'), 'key algorithms has the wrong form; write algorithms = ["bc", "hcsac"].'),
        (('preset = "slides"', "preset = 3"), 'key preset has the wrong form; write preset = "quick".'),
        (("bc = [5.5, 0.5]", "bc = [5.5, 0.5, 1.0]"), "key published has the wrong form"),
        (("base = {}", "base = 1"), "key variants has the wrong form"),
        (("seeds = [0, 1]", 'seeds = [0, 1]\nagents = ["bc"]'), "the keys algorithms and agents mean the same"),
        (("= {}", '= { algorithms = ["bc"], agents = ["bc"] }'), "variant 'base': the keys algorithms and agents mean"),
    ],
)
def test_a_mistake_is_a_sentence(read, tmp_path, change, says):
    assert change[0] in STUDY_FILE
    with pytest.raises(UserError) as error:
        read(STUDY_FILE.replace(*change)).runs(tmp_path / "out")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_key_agents_is_read_as_algorithms(read):
    assert read(STUDY_FILE.replace("algorithms", "agents")).algorithms == read(STUDY_FILE).algorithms == ("bc", "hcsac")


def test_variants_with_the_key_agents_have_the_same_runs(read, tmp_path):
    assert read(STUDY_FILE.replace("algorithms", "agents")).runs(tmp_path) == read(STUDY_FILE).runs(tmp_path)


def test_a_study_of_the_preset_best_leaves_sharing_to_each_run(read, tmp_path):
    text = STUDY_FILE.replace('"slides"', '"best"').replace('"bc", "hcsac"', '"bc", "one_step"')
    text = text[: text.index("[vary]")]
    record = start_study(read(text), tmp_path / "out")
    assert {run.settings.sharing for run in record.runs if run.algorithm == "one_step"} == {"auto"}


def test_a_study_refuses_to_become_another(read, tmp_path):
    out = tmp_path / "out"
    record = start_study(read(STUDY_FILE), out)
    assert read_record(out) == record
    assert start_study(read(STUDY_FILE), out) == record
    changed = read(STUDY_FILE.replace("updates = 6", "updates = 7"))
    with pytest.raises(UserError, match="16 runs changed, as medium base bc slide-left seed 0 "
                                        r"\(updates 6 became 7\)"):  # fmt: skip
        start_study(changed, out)
    assert read_record(out) == record
    with pytest.raises(UserError, match="8 runs new"):
        start_study(read(STUDY_FILE.replace("seeds = [0, 1]", "seeds = [0, 1, 2]")), out)
    fewer = STUDY_FILE.replace('concat = { embedding = "concat", algorithms = ["hcsac"] }\n', "")
    with pytest.raises(UserError, match=r"4 runs gone, as medium concat,cql_weight=1\.0 hcsac"):
        start_study(read(fewer), out)


def test_a_study_resumes_the_same_on_a_machine_with_other_hardware(read, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    began = start_study(read(STUDY_FILE), tmp_path / "gpu")
    assert {one.seeds for one in began.runs} == {(0, 1)}
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert start_study(read(STUDY_FILE), tmp_path / "gpu") == began
    apart = start_study(read(STUDY_FILE), tmp_path / "cpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert start_study(read(STUDY_FILE), tmp_path / "cpu") == apart
    with pytest.raises(UserError, match="was started as another study"):
        start_study(read('replicas = "together"\n' + STUDY_FILE), tmp_path / "cpu")


def test_accepted_changes_lose_nothing(read, tmp_path):
    out = tmp_path / "out"
    first = start_study(read(STUDY_FILE), out).runs[0].path
    first.mkdir(parents=True)
    (first / "run.json").write_text("a run")
    start_study(read(STUDY_FILE.replace("updates = 6", "updates = 7")), out, accept_changes=True)
    assert not first.exists()
    assert (first.with_name("seed-0.before-1") / "run.json").read_text() == "a run"
    assert read_record(out).runs[0].settings.updates == 7


def test_the_baseline_of_its_reports_is_recorded(read, tmp_path):
    assert start_study(read(STUDY_FILE), tmp_path / "first").baseline == "bc"
    for name in ("hcsac", "bc concat"):
        study = STUDY_FILE.replace("[vary]\ncql_weight = [1.0, 5.0]\n", "")
        start_study(read(f'baseline = "{name}"\n{study}'), tmp_path / name)
        assert read_record(tmp_path / name).baseline == name
    file = tmp_path / "hcsac" / "study.json"
    older = {key: value for key, value in json.loads(file.read_text()).items() if key != "baseline"}
    file.write_text(json.dumps(older))
    assert read_record(tmp_path / "hcsac").baseline == "bc"
    with pytest.raises(UserError, match="unknown baseline 'concta'; did you mean 'concat'"):
        read(f'baseline = "concta"\n{study}')


def test_what_a_killed_start_left_is_no_other_directory(read, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with write_atomically(out / "study.json") as aside:
        aside.write_text("{")
    (out / "study.json").rename(aside)
    assert start_study(read(STUDY_FILE), out).runs


def test_other_directories_and_records_are_left_alone(read, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="is not the directory of a study"):
        start_study(read(STUDY_FILE), out)
    with pytest.raises(UserError, match="no study found in"):
        read_record(out)
    record = start_study(read(STUDY_FILE), tmp_path / "two")
    held = json.loads((record.output / "study.json").read_text())
    (record.output / "study.json").write_text(json.dumps(held | {"format": 99}))
    with pytest.raises(UserError, match="newer hcsac"):
        start_study(read(STUDY_FILE), record.output)
    (record.output / "study.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_record(record.output)


@pytest.mark.parametrize("path", ["a" * 300, "/".join(["run"] * 700)])
def test_paths_that_no_file_can_have(path, read, tmp_path):
    start_study(read(STUDY_FILE), tmp_path / "study")
    record = tmp_path / "study" / "study.json"
    content = json.loads(record.read_text())
    content["cells"][0]["path"] = path
    record.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"study\.json is damaged .* longer than a file's can be"):
        read_record(tmp_path / "study")


def test_the_record_of_an_earlier_release_is_kept_and_resumed(read, tmp_path):
    record = start_study(read(STUDY_FILE), tmp_path / "out")
    (record.output / "study.json").rename(record.output / "grid.json")
    assert read_record(record.output) == record
    assert start_study(read(STUDY_FILE), record.output) == record
    start_study(read(STUDY_FILE.replace("updates = 6", "updates = 7")), record.output, accept_changes=True)
    assert [path.name for path in record.output.iterdir()] == ["grid.json"]
    assert read_record(record.output).runs[0].settings.updates == 7
