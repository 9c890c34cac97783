"""What is compared and how it is labelled, from hand-made runs."""

import json
import shutil
from pathlib import Path

import pytest

from hcsac.errors import UserError
from hcsac.experiments.policies import find_policies
from hcsac.training import RunDirectory
from tests.experiments.report.conftest import NASTY, make_study

OLD = Path(__file__).parents[1] / "fixtures" / "format_1" / "finished"  # a run of hcsac 0.1 and its bundle


@pytest.fixture
def make(make_run):
    """A finished run with some settings, of seeds 0 and 1 unless others are given."""

    def of(path, algorithm="hcsac", seeds=(0, 1), data=("lab/left-v0",), fingerprint="f0", finished=True, **settings):
        returns = {20: {"slide-left": {seed: [1.0] for seed in seeds}}}
        identity = {"data": list(data), "fingerprint": fingerprint, "alignment": "correct", "settings": settings}
        run = make_run(path, algorithm, returns, **identity)
        if finished:
            (run.path / "result.json").write_text("{}")
        return run.path

    return of


def whole_study(path):
    """The hand-made study, its runs with what a comparison reads of them."""
    study = make_study(path)
    for run in study.runs[:-1]:
        content = {"data": list(run.refs), "fingerprint": "f", "alignment": "correct"}
        identity = json.loads((run.path / "run.json").read_text()) | content
        (run.path / "run.json").write_text(json.dumps(identity))
    return study


def labels(*paths):
    return [(one.dataset, one.variant, one.algorithm) for one in find_policies(paths)[0]]


def test_a_run(make):
    path = make("run", data=("lab/right-v0", "lab/left-v0"), hidden_size=8)
    (one,), notes = find_policies([path, str(path), path.parent / "run" / ".." / "run"])
    assert notes == []
    assert (one.path.name, one.dataset, one.variant) == ("run", "lab/left-v0, lab/right-v0", "")
    assert (one.algorithm, one.tasks, one.seeds, one.fingerprint) == ("hcsac", ("slide-left",), (0, 1), "f0")
    assert (one.behaviour, one.logged) == ({"slide-left": 5.0}, {})
    assert one.settings["hidden_size"] == 8
    assert one.settings["hidden_layers"] == 3  # a setting that the run does not record had its default


def test_a_run_that_is_not_finished_is_told(make):
    path = make("run", finished=False)
    assert find_policies([path])[1] == [f"{path} is not finished: the policy of its last checkpoint is compared."]


def test_several_seeds_are_one_cell_and_settings_tell_apart(make):
    own = [make(f"a{seed}", seeds=(seed,), sharing="all") for seed in (0, 1)]
    others = [make(f"b{seed}", seeds=(seed,), sharing="none") for seed in (0, 1)]
    assert {variant for _, variant, _ in labels(*own)} == {""}
    assert [variant for _, variant, _ in labels(*own, *others)] == ["sharing=all"] * 2 + ["sharing=none"] * 2
    many = [make(f"c{seed}", seeds=(seed,), hidden_size=1, batch_size=2, critics=3, discount=0.5) for seed in (0, 1)]
    assert [variant for _, variant, _ in labels(*own, *many)] == ["a0"] * 2 + ["c0"] * 2  # more than a label holds


def test_settings_that_change_no_weights_do_not_tell_apart(make):
    paths = make("a", seeds=(0,), device="cpu"), make("b", seeds=(1,), device="cuda", final_episodes=3)
    assert labels(*paths) == [("lab/left-v0", "", "hcsac")] * 2


def test_what_would_be_one_seed_twice_has_the_name_of_its_directory(make):
    paths = make("old/hcsac"), make("new/hcsac")
    assert [variant for _, variant, _ in labels(*paths)] == [str(path) for path in paths]
    paths = make("one"), make("two", seeds=(1, 2)), make("bc", "bc")
    assert labels(*paths) == [
        ("lab/left-v0", "one", "hcsac"),
        ("lab/left-v0", "two", "hcsac"),
        ("lab/left-v0", "", "bc"),
    ]


def test_names_that_stand_for_different_data(make):
    paths = make("a"), make("b", seeds=(2,), fingerprint="f1"), make("c", data=())
    assert [dataset for dataset, _, _ in labels(*paths)] == ["lab/left-v0 [f0]", "lab/left-v0 [f1]", "data f0"]


def test_a_study_stands_for_its_finished_runs_under_its_labels(tmp_path):
    study = whole_study(tmp_path / "study")
    found, notes = find_policies([study.output])
    assert [(one.dataset, one.variant, one.seeds) for one in found] == [
        (level, variant, (seed,)) for level in ("medium", "replay") for variant in ("plain", NASTY) for seed in range(3)
    ][:-1]
    assert notes == [f"{study.output}: 1 of 12 runs not finished, and left out."]
    (again, *_), _ = find_policies([study.output, study.runs[0].path])
    assert (again.source, len(find_policies([study.runs[0].path, study.output])[0])) == (study.output, 11)
    for run in study.runs:
        (run.path / "result.json").unlink(missing_ok=True)
    with pytest.raises(UserError, match=r"study: no run is finished yet; `hcsac study run` resumes them"):
        find_policies([study.output])


def test_one_study_beside_another(tmp_path):
    policies, _ = find_policies([whole_study(tmp_path / name).output for name in ("old", "new")])
    names = {f"{variant} {name}" for variant in ("plain", NASTY) for name in ("old", "new")}
    assert {one.variant for one in policies} == names


def test_a_bundle_has_the_labels_of_its_run():
    (run,), (bundle,) = (find_policies([path])[0] for path in (OLD, OLD / "policy"))
    for field in ("dataset", "variant", "algorithm", "tasks", "seeds", "behaviour", "settings", "fingerprint"):
        assert getattr(run, field) == getattr(bundle, field), field
    assert run.dataset == "lab/left-v0, lab/right-v0"
    assert bundle.logged == {}
    assert [variant for _, variant, _ in labels(OLD, OLD / "policy")] == ["finished", "policy"]


def test_a_distilled_policy_is_no_behavioural_cloning(tmp_path):
    shutil.copytree(OLD / "policy", tmp_path / "distilled")
    file = tmp_path / "distilled" / "policy.json"
    content = json.loads(file.read_text())
    changed = {"agent": "bc", "settings": {}, "distilled": {"teacher": {"agent": "hcsac"}}}
    file.write_text(json.dumps(content | changed))
    assert labels(tmp_path / "distilled") == [("lab/left-v0, lab/right-v0", "", "hcsac distilled")]


def test_what_cannot_be_compared(tmp_path):
    for path, is_ in ((tmp_path / "none", "it does not exist"), (tmp_path, "it contains neither a run nor a policy")):
        with pytest.raises(UserError, match=f"nothing to compare at {path}: {is_}.*; pass the directory of a run"):
            find_policies([path])
    RunDirectory(tmp_path / "run").path.mkdir()
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is corrupt"):
        find_policies([tmp_path / "run"])
