"""A file of collections: what it asks for, and each mistake in one sentence that names the place."""

from pathlib import Path

import pytest

from hcsac.collection import read_collections
from hcsac.collection.file import Request
from hcsac.errors import UserError
from hcsac.experiments import read_study
from hcsac.tasks import get_task

ROOT = Path(__file__).parents[2]
TWO = """
[defaults]
namespace = "lab"
keep = ["all", "slice", "mixture"]
steps = 100
returns = [-1.5, 300]
shares = [0.2, 0.3, 0.5]

[collections.slide-left]

[collections.other]
task = "slide-right"
keep = "final"
returns = ""
shares = ""
steps = 50
"""


def read(text: str, tmp_path: Path, **given: object) -> list[Request]:
    (tmp_path / "file.toml").write_text(text)
    return read_collections(tmp_path / "file.toml", tmp_path / "out", given)


def test_defaults_tables_and_options(tmp_path):
    text = TWO.replace('returns = ""\nshares = ""\n', "").replace(
        'keep = "final"', 'keep = ["final", "slice", "mixture"]'
    )
    first, other = read(text, tmp_path)
    assert (first.name, first.task, first.namespace, first.directory) == (
        "slide-left", "slide-left", "lab", tmp_path / "out" / "slide-left",
    )  # fmt: skip
    assert (first.settings.kinds, first.settings.bounds) == (("all", "slice", "mixture"), (-1.5, 300.0))
    assert first.settings.thirds == (0.2, 0.3, 0.5)
    assert (other.task, other.directory.name, other.settings.steps) == ("slide-right", "other", 50)
    assert other.datasets == [f"lab/slide-right-{label}-v0" for label in ("final", "slice", "mixture")]
    given = read(text, tmp_path, steps=7, namespace="mine", learners=3)
    assert [(one.steps, one.namespace) for one in given] == [(21, "mine"), (21, "mine")]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("steps = 50", "step = 50", r"\[collections.other\]: unknown key 'step'; did you mean 'steps'\?"),
        ("steps = 100", "stops = 100", r"\[defaults\]: unknown key 'stops'; did you mean 'steps'\?"),
        ("[defaults]", "[default]", "unknown table 'default'; did you mean 'defaults'"),
        ("steps = 50", 'steps = "many"', r"\[collections.other\]: setting steps = 'many' is not of type int"),
        ('"final"', '"finale"', "unknown kind of dataset to keep 'finale'; did you mean 'final'"),
        ('keep = "final"', "", "kind slice needs the returns of its episodes, not ''"),
        ("[collections.other]", '[collections."../other"]', "cannot name a directory"),
        ('"lab"', "3", r"namespace = 3 is not a name"),
        ("[collections.slide-left]", "[collections]\nslide-left = 3", "collections.slide-left = 3 is not a table"),
        ('"slide-right"', "[1", "is not valid TOML"),
    ],
)
def test_mistakes(tmp_path, old, new, says):
    assert old in TWO
    with pytest.raises(UserError, match=says):
        read(TWO.replace(old, new), tmp_path)


def test_a_setting_without_effect(tmp_path):
    with pytest.raises(UserError, match=r"\[collections.other\]: setting returns is for datasets of kind slice alone"):
        read(TWO, tmp_path)


def test_two_that_write_one_dataset(tmp_path):
    both = '[collections.slide-left]\n[collections.again]\ntask = "slide-left"\nseed = 1\nlevel = 1\n'
    with pytest.raises(UserError, match="slide-left and again would both write collected/slide-left-medium-v0"):
        read(both, tmp_path)


def test_nothing_to_collect(tmp_path):
    with pytest.raises(UserError, match="it has no collection; add a table"):
        read("[defaults]\nsteps = 3\n", tmp_path)
    with pytest.raises(UserError, match="cannot read"):
        read_collections(tmp_path / "none.toml", tmp_path)


def test_the_development_sets(tmp_path):
    requests = read_collections(ROOT / "experiments" / "development.toml", tmp_path)
    assert len(requests) == 7
    assert all(get_task(request.task).env_id and not request.finished() for request in requests)
    assert {request.settings.kinds for request in requests} == {("all", "final")}
    assert requests[-1].datasets == [f"development/cartpole-swingup-{label}-v0" for label in ("full-replay", "final")]
    assert sum(request.steps for request in requests) == 660_000


def test_the_sets_of_other_bodies(tmp_path, monkeypatch):
    """Those that the study of them is trained on, but for OGBench's."""
    monkeypatch.setenv("HCSAC_PLUGINS", "experiments.cube")
    collected = [
        name for r in read_collections(ROOT / "experiments" / "bodies-data.toml", tmp_path) for name in r.datasets
    ]
    wanted = [ref for refs in read_study(ROOT / "experiments" / "bodies.toml").datasets.values() for ref in refs]
    assert collected == [ref for ref in wanted if not ref.startswith("ogbench/")]
