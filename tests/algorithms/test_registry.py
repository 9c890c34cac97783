"""The decorator `algorithm`: what a class must give, and what it is called."""

from dataclasses import dataclass

import pytest

from hcsac import Algorithm, Settings, UserError, algorithm
from hcsac import settings as settings_module
from hcsac.algorithms import ALGORITHMS, preset, preset_names, resolve, sentence, settings_of
from hcsac.networks.actors import DeterministicActor
from hcsac.settings import Sharing, setting


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    for name in ("_items", "_origins"):
        monkeypatch.setattr(ALGORITHMS, name, dict(getattr(ALGORITHMS, name)))
    monkeypatch.setattr(settings_module, "_HOMES", dict(settings_module._HOMES))


class Whole(Algorithm):
    """One that lacks nothing. It learns nothing."""

    Actor = DeterministicActor

    def build(self, spec, settings, weights): ...

    def update(self, batch, noise, stage):
        return {}


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "build, update, Actor"),
        ({"build": Whole.build, "Actor": DeterministicActor}, "update"),
        ({"update": Whole.update, "Actor": DeterministicActor}, "build"),
        ({"build": Whole.build, "update": Whole.update}, "Actor"),
    ],
)
def test_what_is_missing_is_named(body, missing):
    kind = type("Lazy", (Algorithm,), {**body, "__module__": "my_lab"})
    with pytest.raises(UserError) as error:
        algorithm("lazy")(kind)
    assert str(error.value) == f"algorithm 'lazy' (my_lab.Lazy) lacks {missing}; define what hcsac.Algorithm asks for."
    assert "lazy" not in ALGORITHMS


def test_a_class_of_another_base_is_refused():
    with pytest.raises(UserError, match=r"\(hcsac.settings.Settings\) does not inherit from hcsac.Algorithm; make it"):
        algorithm("other")(Settings)
    with pytest.raises(UserError, match=r"its settings_type does not inherit from hcsac.Settings; make it a subclass"):
        algorithm("other")(type("Other", (Whole,), {"settings_type": dict}))


def test_a_taken_name_is_refused():
    with pytest.raises(UserError, match=r"algorithm 'bc' is registered by hcsac itself already; choose another name"):
        algorithm("bc")(Whole)


def test_a_setting_of_another_algorithm_is_refused():
    @dataclass(frozen=True, repr=False)
    class Mine(Settings):
        td3_alpha: float = setting(1.0, "mine")

    with pytest.raises(UserError, match=r"setting 'td3_alpha' of .*Mine is defined by hcsac.algorithms.td3_bc.TD3BCSe"):
        algorithm("mine")(type("Mine", (Whole,), {"settings_type": Mine}))
    assert "mine" not in ALGORITHMS


def test_its_name_sentence_presets_and_settings():
    @dataclass(frozen=True, repr=False)
    class Mine(Sharing, Settings, group="Mine"):
        my_number: float = setting(1.0, "mine", 0)

    presets = {"quick": {"my_number": 2.0}, "own": {"my_number": 3.0}}
    kind = type("Mine", (Whole,), {"settings_type": Mine, "presets": presets, "paper": "Me 2026", "__doc__": "Mine."})
    assert algorithm("mine")(kind) is kind
    assert kind.name == "mine"
    assert not kind.has_values()
    assert sentence(kind) == "Mine (Me 2026)."
    assert preset_names("mine") == ("slides", "paper", "quick", "best", "own")
    assert [preset(word, "mine").my_number for word in ("slides", "quick", "own")] == [1.0, 2.0, 3.0]
    assert preset("quick", "mine").share_interval == preset("quick", "hcsac").share_interval
    assert hasattr(settings_of("mine"), "share_quantile")  # of a sharing rule


def test_an_algorithm_of_one_actor_is_not_given_several():
    algorithm("one_actor")(type("One", (Whole,), {}))
    assert preset("best", "one_actor").actors == 1
    assert preset("best", "bc").actors > 1
    several = preset("best", "one_actor").replace({"actors": 3})
    with pytest.raises(UserError, match="one_actor trains a single actor, not actors = 3"):
        resolve("one_actor", several, ["walker-walk"])
