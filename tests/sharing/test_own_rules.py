"""Sharing rules from outside: what the decorator takes, and what a wrong rule is told in one sentence."""

from dataclasses import dataclass

import numpy as np
import pytest

from hcsac import Selection, UserError, sharing_rule
from hcsac import settings as settings_module
from hcsac.algorithms import ALGORITHMS, Algorithm, preset, resolve
from hcsac.networks.actors import DeterministicActor
from hcsac.registry import SHARING_RULES
from hcsac.settings import Fields, Settings, Sharing, setting
from hcsac.sharing.rules import rule_of
from hcsac.sharing.selection import Sharer

TASKS = ("left", "right")


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (SHARING_RULES, ALGORITHMS):
        for name in ("_items", "_origins"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.setattr(settings_module, "_HOMES", dict(settings_module._HOMES))


def settings_with(rule, algorithm="hcsac", **changes):
    return resolve(algorithm, preset("quick", algorithm).replace({"sharing": rule, "device": "cpu", **changes}), TASKS)


def share(rule, values=(1.0, 2.0, 3.0, 4.0), **changes):
    """One sharing step of two tasks with two transitions each."""
    sharer = Sharer(settings_with(rule, **changes), np.array([0, 0, 1, 1]), TASKS, 1, 5)
    return sharer(lambda i: np.array([values], np.float32))[0]


def returning(selection):
    return lambda own, candidates, settings, memory: selection


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (None, "returned NoneType; it must return a Selection."),
        (np.ones(2, bool), "returned ndarray; it must return a Selection."),
        (Selection(np.ones(3, bool)), r"returned `taken` of shape \[3\] and type bool; it must be \[2\] bool."),
        (Selection(np.array([0, 1])), r"returned `taken` of shape \[2\] and type int64; it must be \[2\] bool."),
        (Selection(np.ones(2, bool), np.ones((2, 1))),
         r"returned `weight` of shape \[2, 1\] and type float64; it must be \[2\] float."),
        (Selection(np.ones(2, bool), np.ones(2, int)),
         r"returned `weight` of shape \[2\] and type int64; it must be \[2\] float."),
    ],
)  # fmt: skip
def test_a_wrong_result_is_one_sentence(selection, sentence):
    sharing_rule("wrong", weighted=True)(returning(selection))
    with pytest.raises(UserError, match=f"^sharing rule 'wrong' {sentence}$"):
        share("wrong")


def test_weights_that_the_rule_does_not_announce_are_refused():
    sharing_rule("heavy")(returning(Selection(np.ones(2, bool), np.ones(2))))
    with pytest.raises(UserError, match=r"^sharing rule 'heavy' returned weights, but is registered without; add weig"):
        share("heavy")


def test_a_rule_sees_its_own_values_the_candidates_its_settings_and_the_last_step():
    @dataclass(frozen=True, repr=False)
    class Mine(Fields):
        my_number: float = setting(0.5, "mine", 0, 1)

    seen = []

    @sharing_rule("mine", needs_values=True, settings=Mine)
    def mine(own, candidates, settings, memory):
        seen.append((own.tolist(), candidates.tolist(), settings.my_number, memory))
        return Selection(candidates > own.max(), threshold=float(own.max()), temperature=2.0)

    sharer = Sharer(settings_with("mine", my_number=0.25), np.array([0, 0, 1, 1]), TASKS, 1, 5)
    values = np.array([[1.0, 2.0, 3.0, 0.0]], np.float32)
    first, second = sharer(lambda i: values)[0]
    assert seen[0][:3] == ([1.0, 2.0], [3.0, 0.0], 0.25)
    assert seen[1][:3] == ([3.0, 0.0], [1.0, 2.0], 0.25)
    assert np.isnan(seen[0][3].temperature)
    assert seen[0][3].updates == 5
    assert (first.row.tolist(), second.row.tolist(), first.threshold) == ([2], [], 2.0)
    sharer(lambda i: values)
    assert seen[2][3].temperature == 2.0


def test_a_taken_name_is_refused():
    with pytest.raises(
        UserError, match=r"sharing rule 'cds' is registered by hcsac itself already; choose another name"
    ):
        sharing_rule("cds")(returning(None))


def test_a_taken_name_of_a_setting_is_refused():
    @dataclass(frozen=True, repr=False)
    class Mine(Fields):
        cds_quantile: float = setting(0.5, "mine")

    with pytest.raises(
        UserError, match=r"setting 'cds_quantile' of .*Mine is defined by hcsac.sharing.rules.CDSSettings"
    ):
        sharing_rule("mine", settings=Mine)


def test_what_a_rule_implies():
    sharing_rule("zeros", implies={"reward_rule": "zero"})(returning(None))
    assert settings_with("zeros").reward_rule == "zero"
    assert settings_with("zeros", reward_rule="zero").reward_rule == "zero"
    with pytest.raises(UserError, match=r"sharing = 'zeros' means reward_rule = 'zero', not 'keep'; leave reward_rule"):
        settings_with("zeros", reward_rule="keep")


def test_an_implied_setting_that_the_algorithm_lacks():
    sharing_rule("pessimist", implies={"target_pessimism": "lcb"})(returning(None))
    assert settings_with("pessimist").target_pessimism == "lcb"
    with pytest.raises(UserError, match=r"sharing = 'pessimist' means target_pessimism = 'lcb', a setting that this"):
        settings_with("pessimist", "td3_bc")


def test_what_a_rule_needs_at_least():
    sharing_rule("many", at_least={"critics": 4})(returning(None))
    assert settings_with("many", critics=4).critics == 4
    with pytest.raises(UserError, match=r"sharing = 'many' needs critics of at least 4, not 3; add --critics 4"):
        settings_with("many", critics=3)


@pytest.mark.parametrize(("weighted", "expected"), [(True, True), (False, False), (lambda s: s.critics > 2, False)])
def test_whether_it_gives_weights_may_depend_on_the_settings(weighted, expected):
    sharing_rule("heavy", weighted=weighted)(returning(None))
    settings = settings_with("heavy", critics=2)
    assert rule_of(settings).weighted(settings) is expected


def test_a_rule_that_needs_values_is_refused_where_the_algorithm_has_none():
    @dataclass(frozen=True, repr=False)
    class Blind(Sharing, Settings):
        """It shares, without values."""

    body = {"settings_type": Blind, "Actor": DeterministicActor, "build": lambda *_: None, "update": lambda *_: {}}
    ALGORITHMS.add("blind", type("Blind", (Algorithm,), body))
    assert settings_with("all", "blind").sharing == "all"
    with pytest.raises(UserError, match=r"sharing = 'quantile' selects by values, and blind has none .*choose a rule"):
        settings_with("quantile", "blind")
