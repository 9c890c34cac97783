"""Plug-ins: names that are taken, modules that fail, and that each is loaded once, from outside only."""

import sys
import types
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac import registry
from hcsac.errors import UserError
from hcsac.registry import Registry, load_plugins, require_plugins, use_plugins
from tests.conftest import run

ORDINARY = "import hcsac\nCOUNT = globals().get('COUNT', 0) + 1\n"


def thing():
    """An item of this module."""


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """No plug-in but those of the test, which are forgotten after it."""
    for variable in registry.VARIABLES:
        monkeypatch.setenv(variable, "")
    monkeypatch.setattr(registry, "_entry_points", lambda: ())
    monkeypatch.setattr(registry, "_loaded", set())


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported, and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(name, text):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        names.append(name.split(".")[0])
        return name

    yield write
    for name in list(sys.modules):
        if name.split(".")[0] in names:
            del sys.modules[name]


def test_an_unknown_name_gives_the_nearest():
    fruit = Registry("fruit")
    fruit.add("apple", thing)
    with pytest.raises(UserError, match=r"unknown fruit 'aple'; did you mean 'apple'\?"):
        fruit.get("aple")
    with pytest.raises(UserError, match=r"unknown fruit 'zzz'; known: apple."):
        fruit.get("zzz")


@given(names=st.lists(st.text(min_size=1), unique=True))
def test_names_keep_the_order_of_registration(names):
    kind = Registry("kind")
    for position, name in enumerate(names):
        assert kind.add(name, position, module="outside") == position
    assert kind.names() == tuple(kind) == tuple(names)
    assert kind.items() == tuple((name, position) for position, name in enumerate(names))
    assert all(name in kind and kind.plugin(name) == "outside" for name in names)


@given(
    first=st.sampled_from(["hcsac", "hcsac.data", "lab", "lab.rules", "other"]),
    second=st.sampled_from(["hcsac", "hcsac.data", "lab", "lab.rules", "other"]),
)
def test_a_name_is_replaced_by_its_own_module_alone(first, second):
    kind = Registry("kind")
    kind.add("name", 1, module=first)
    owners = [None if module.startswith("hcsac") else module for module in (first, second)]
    if owners[0] == owners[1]:
        kind.add("name", 2, module=second)
        assert kind.get("name") == 2
    else:
        place = owners[0] or "hcsac itself"
        with pytest.raises(UserError, match=f"^kind 'name' is registered by {place} already; choose another name.$"):
            kind.add("name", 2, module=second)
        assert kind.get("name") == 1


def test_a_module_is_loaded_once(module, monkeypatch):
    name = module("once_loaded", "import builtins\nbuiltins.once_loaded = getattr(builtins, 'once_loaded', 0) + 1\n")
    monkeypatch.setenv("HCSAC_PLUGINS", f" {name} ,, {name}")
    monkeypatch.setenv("HCSAC_TASKS", name)
    for _ in range(3):
        load_plugins()
    assert __builtins__["once_loaded"] == 1
    del __builtins__["once_loaded"]


def test_a_plugin_may_look_names_up_while_it_is_imported(module):
    use_plugins([module("curious", "from hcsac.algorithms import ALGORITHMS\nassert 'bc' in ALGORITHMS\n")])
    assert "curious" in sys.modules


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("def", "SyntaxError"),
    ],
)
def test_an_import_that_fails_is_one_sentence(module, text, reason, capsys):
    name = module("fails_at_import", text)
    for _ in range(2):  # and again: it is not taken for loaded
        assert run("--plugin", name, "train", "--help") == 2
        err = capsys.readouterr().err
        assert err.startswith(f"hcsac: HCSAC_PLUGINS names the module {name!r}, which cannot be imported ({reason}")
        assert err.endswith("; fix the name, PYTHONPATH or the module.\n")
        assert err.count("\n") == 1


def test_a_sentence_of_the_plugin_itself_is_kept(module):
    name = module("says_why", "import hcsac\nraise hcsac.UserError('it needs a licence.')\n")
    with pytest.raises(UserError, match=r"^it needs a licence\.$"):
        use_plugins([name])


def test_installed_entry_points_are_loaded(module, monkeypatch):
    name = module("installed_plugin", ORDINARY)
    monkeypatch.setattr(registry, "_entry_points", lambda: (EntryPoint("mine", name, registry.GROUP),))
    load_plugins()
    assert sys.modules[name].COUNT == 1
    monkeypatch.setattr(registry, "_entry_points", lambda: (EntryPoint("gone", "no_such_plugin", registry.GROUP),))
    with pytest.raises(UserError, match=r"^the installed entry point 'gone' names the module 'no_such_plugin', which"):
        load_plugins()


def test_use_plugins_adds_to_the_variable(module, monkeypatch):
    one, two = module("plugin_one", ORDINARY), module("plugin_two", ORDINARY)
    monkeypatch.setenv("HCSAC_PLUGINS", one)
    use_plugins([two, one])
    assert registry.os.environ["HCSAC_PLUGINS"] == f"{one},{two}"
    assert {one, two} <= sys.modules.keys()


def test_require_plugins_names_what_is_missing_and_loads_nothing(module):
    name = module("never_loaded", ORDINARY)
    require_plugins([], "the run")
    require_plugins(["json"], "the run")
    with pytest.raises(UserError) as error:
        require_plugins(["json", name, "gone"], "the run in here")
    assert str(error.value) == (
        "the run in here needs the plug-in never_loaded,gone; give --plugin never_loaded,gone, or set "
        "HCSAC_PLUGINS=never_loaded,gone."
    )
    assert name not in sys.modules


@pytest.mark.parametrize("first", ["plugin_package.part", "plugin_package", None])
def test_a_plugin_is_one_module_whichever_part_is_imported_first(module, monkeypatch, first):
    """A program may import a part of it before hcsac does."""
    fruit = types.SimpleNamespace(registry=Registry("fruit"))
    monkeypatch.setitem(sys.modules, "fruit_registry", fruit)
    module("plugin_package.__init__", "from plugin_package import part\n")
    module("plugin_package.part", "import fruit_registry\ndef pear(): ...\nfruit_registry.registry.add('pear', pear)\n")
    monkeypatch.setenv("HCSAC_PLUGINS", "plugin_package")
    if first is not None:
        __import__(first)
    assert fruit.registry.plugin("pear") == "plugin_package"


def test_the_plugin_that_imports_another_module_registers_its_items(module):
    module("shared_helper", "def pear(): ...\n")
    fruit = Registry("fruit")
    sys.modules["fruit_registry"] = types.SimpleNamespace(registry=fruit)
    module(
        "importing", "import fruit_registry, shared_helper\nfruit_registry.registry.add('pear', shared_helper.pear)\n"
    )
    use_plugins(["importing"])
    assert fruit.plugin("pear") == "importing"
    del sys.modules["fruit_registry"]


def test_the_option_needs_a_name(capsys):
    assert run("train", "--help", "--plugin") == 2
    assert "--plugin needs the name of a module, as --plugin my_package." in capsys.readouterr().err
