"""A format from outside is one class; `load`, `import`, `check` and `info` all read through it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hcsac
from hcsac.data import Episode, store
from hcsac.data.formats import FORMATS, OpenedDataset, dataset_format, open_data
from hcsac.errors import UserError
from hcsac.registry import use_plugins
from hcsac.tasks import Task, register_task, registry
from tests.conftest import TASKS, run, slide_episodes

PLUGIN = '''
import json
import numpy as np
from hcsac import Episode, dataset_format

@dataset_format("tests-json")
class Json:
    """A .json file with a list of episodes. It is slow."""

    def matches(self, path):
        return path.suffix == ".json"

    def read(self, path):
        for episode in json.loads(path.read_text()):
            yield Episode(**{name: np.array(values) for name, values in episode.items()})
'''


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    for table in ("_items", "_origins"):
        monkeypatch.setattr(FORMATS, table, dict(getattr(FORMATS, table)))


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The module `json_format`, loaded as a plug-in."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "json_format.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("HCSAC_PLUGINS", "")
    use_plugins(["json_format"])
    yield
    sys.modules.pop("json_format", None)


@pytest.fixture
def logs(tmp_path) -> dict[str, Path]:
    """A .json file of each light task."""
    files = {}
    for name in TASKS:
        episodes = [{key: value.tolist() for key, value in vars(episode).items() if value is not None}
                    for episode in slide_episodes(name)]  # fmt: skip
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(episodes))
    return files


def register(name="tests-any", **methods):
    """A format of these methods."""
    return dataset_format(name)(type("Given", (), methods))


def always(self, path):
    return True


def test_a_plugins_format_is_loaded_and_trained_on(plugin, logs, slides, tmp_path):
    refs = [f"{name}={path}" for name, path in logs.items()]
    data = hcsac.load(refs)
    assert data.fingerprint() == slides.fingerprint()
    assert data.observations.dtype == data.reward.dtype == np.float32
    assert (data.refs, data.plugins) == (tuple(refs), ("json_format",))
    assert hcsac.load(refs, folder=tmp_path / "mapped").fingerprint() == slides.fingerprint()
    again = hcsac.load(refs, folder=tmp_path / "mapped")
    assert again.plugins == again.select(["slide-left"]).plugins == ("json_format",)


def test_the_built_in_formats_need_no_plugin():
    store.write("lab/left-v0", "slide-left", slide_episodes("slide-left"))
    assert hcsac.load("lab/left-v0").plugins == ()
    assert OpenedDataset("lab/left-v0").format == "minari"


def test_mapped_data_are_refused_when_the_plugin_has_changed(plugin, logs, tmp_path):
    ref = f"slide-left={logs['slide-left']}"
    hcsac.load(ref, folder=tmp_path / "mapped")
    module = tmp_path / "modules" / "json_format.py"
    module.write_text(PLUGIN + "\n# another reader\n")
    with pytest.raises(UserError, match="these as they were before"):
        hcsac.load(ref, folder=tmp_path / "mapped")


def test_the_commands_read_it(plugin, logs, capsys):
    left = logs["slide-left"]
    assert run("data", "check", f"slide-left={left}") == 0
    assert f"slide-left={left}" in capsys.readouterr().out
    assert run("data", "info", left, "--task", "slide-left") == 0
    assert "4 with 48 steps" in capsys.readouterr().out
    assert run("data", "import", left, "--task", "slide-left", "--name", "lab/left-v0") == 0
    assert store.read("lab/left-v0")[2]["source"] == "tests-json"
    assert run("data", "import", left, "--name", "lab/other-v0") == 2
    assert "does not name its task; write it as TASK=" in capsys.readouterr().err


def test_a_dataset_that_names_its_task(tmp_path):
    register(matches=always, read=lambda self, path: slide_episodes("slide-left"), task=lambda self, path: "slide-left")
    assert open_data(tmp_path)[0] == "slide-left"
    assert open_data(tmp_path, "slide-right")[0] == "slide-right"  # it is believed


def test_lengths_told_wrongly(tmp_path):
    register(matches=always, read=lambda self, path: slide_episodes("slide-left"), lengths=lambda self, path: [12] * 3)
    with pytest.raises(UserError, match="lists 3 episodes but has more"):
        hcsac.load(f"slide-left={tmp_path}")
    register(matches=always, read=lambda self, path: slide_episodes("slide-left"), lengths=lambda self, path: [12] * 5)
    with pytest.raises(UserError, match="lists 5 episodes but has 4"):
        hcsac.load(f"slide-left={tmp_path}")
    register(matches=always, read=lambda self, path: slide_episodes("slide-left"), lengths=lambda self, path: [11] * 4)
    with pytest.raises(UserError, match="episode 0 is listed with 11 steps but has 12"):
        hcsac.load(f"slide-left={tmp_path}")


def raises(*_):
    raise KeyError("speed")


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        ({"matches": raises, "read": always}, "'tests-any' fails to look at .*KeyError: 'speed'.*fix its method"),
        ({"matches": always, "read": raises}, r"cannot be read as tests-any \(KeyError: 'speed'\); write it again"),
        ({"matches": always, "read": always}, r"cannot be read as tests-any \(TypeError: .*not iterable"),
        ({"matches": always, "read": lambda *_: [{"reward": 1}]}, "'tests-any' gives dict as episode 0 .*must yield"),
        ({"matches": always, "read": lambda *_: [Episode(*["left"] * 5)]}, "cannot be read as tests-any"),
        ({"matches": always, "read": lambda *_: [Episode(*[1.0] * 5)]}, "observation is a single number"),
        ({"matches": always, "read": lambda *_: []}, "has no episode"),
        ({"matches": always, "read": always, "task": raises}, "cannot be read as tests-any"),
        ({"matches": lambda *_: False, "read": always}, r"no known dataset format; known: hdf5 \(.*npz \("),
    ],
)  # fmt: skip
def test_a_format_that_fails_is_one_sentence(tmp_path, methods, says):
    register(**methods)
    for read in (open_data, lambda path, task: hcsac.load(f"{task}={path}")):
        with pytest.raises(UserError, match=says) as caught:
            read(tmp_path, "slide-left")
        assert "\n" not in str(caught.value)


def test_two_formats_that_match(tmp_path):
    for name in ("tests-one", "tests-two"):
        register(name, matches=always, read=always)
    with pytest.raises(UserError, match="matches several dataset formats, tests-one and tests-two; let only one"):
        open_data(tmp_path, "slide-left")


def test_what_cannot_be_registered():
    class Arguments:
        def __init__(self, path):
            pass

    for item, says in [
        (type("Blind", (), {"read": always}), r"'tests-any' has no method matches; add matches\(self, path\) -> bool"),
        (type("Mute", (), {"matches": always}), r"'tests-any' has no method read; add read\(self, path\)"),
        (type("Number", (), {"matches": always, "read": 3}), "has no method read"),
        (Arguments, r"'tests-any': Arguments\(\) fails .*; let it need no arguments"),
    ]:
        with pytest.raises(UserError, match=says):
            dataset_format("tests-any")(item)
    with pytest.raises(UserError, match="'npz' is registered by hcsac itself already"):
        register("npz", matches=always, read=always)


def test_an_object_may_be_registered(tmp_path):
    class Constant:
        def __init__(self, name):
            self.name = name

        def matches(self, path):
            return True

        def read(self, path):
            return slide_episodes(self.name)

    made = dataset_format("tests-any")(Constant("slide-right"))
    assert isinstance(made, Constant)
    assert len(open_data(tmp_path, "slide-right")[1]) == 4


def test_a_folder_of_npz_episodes_is_loaded_as_it_is(tmp_path):
    from hcsac.data.episode import to_arrivals

    for number, episode in enumerate(slide_episodes("slide-left")):
        np.savez(tmp_path / f"{number}.npz", **to_arrivals(episode))
    direct = hcsac.Dataset.from_episodes({"slide-left": slide_episodes("slide-left")})
    assert hcsac.load(f"slide-left={tmp_path}").fingerprint() == direct.fingerprint()


def test_a_task_that_is_given_is_believed_unless_its_rewards_are_others(monkeypatch):
    """Two tasks on one environment id, each with a reward function of its own: the main case."""
    monkeypatch.setattr(registry.TASKS, "_items", dict(registry.TASKS._items))
    monkeypatch.setattr(registry.TASKS, "_origins", dict(registry.TASKS._origins))
    made = slide_episodes("slide-left")
    rewards = {"near": lambda reached, action: -reached[:, 0], "far": lambda reached, action: reached[:, 1]}
    for name, reward in rewards.items():
        register_task(Task(name, "tests/slide-left-v0", reward=reward))
        paid = [replace(e, reward=reward(e.observation[1:], e.action)) for e in made]
        store.write(f"lab/{name}-v0", name, paid)
    assert hcsac.load(["lab/near-v0", "lab/far-v0"]).task_names == ("near", "far")
    store.write("lab/unnamed-v0", "slide-left", [replace(e, reward=-e.observation[1:, 0]) for e in made])
    assert hcsac.load(["near=lab/unnamed-v0", "lab/far-v0"]).task_names == ("near", "far")
    with pytest.raises(UserError, match=r"logged under task 'slide-left', not 'far', whose rewards differ .* by up to"):
        hcsac.load("far=lab/unnamed-v0")
    assert hcsac.load("goal=lab/unnamed-v0").task_names == ("goal",)  # it has no function that could say otherwise
