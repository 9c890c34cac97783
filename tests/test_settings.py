"""Settings, their bounds and sentences, and the files they come from."""

import json
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcsac.algorithms import ALGORITHMS, settings_of
from hcsac.errors import UserError, unknown
from hcsac.files import read_toml
from hcsac.settings import (
    SHORTEST,
    Fields,
    choices,
    groups,
    interval_in_updates,
    plain_type,
    require_unique_names,
    setting,
)

KINDS = {name: settings_of(name) for name in ALGORITHMS.names()}
Settings = KINDS["hcsac"]
HINTS = get_type_hints(Settings)
EVERY = {entry.name: (kind, entry) for kind in KINDS.values() for entry in fields(kind)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"discont": 0.9}, "unknown setting 'discont'; did you mean 'discount'?"),
        ({"discount": 1.5}, "discount = 1.5 is out of bounds; it must be at least 0 and at most 1"),
        ({"batch_size": 0}, "batch_size = 0 is out of bounds; it must be at least 1"),
        ({"batch_size": 2.5}, "batch_size = 2.5 is not of type int"),
        ({"batch_size": True}, "is not of type int"),
        ({"discount": float("nan")}, "out of bounds"),
        ({"backup_entropy": "yes"}, "is not of type bool"),
        ({"embedding": "conat"}, "did you mean 'concat'?"),
        ({"precision": "fp8"}, "choose one of float32, bf16, auto"),
        ({"updates": 0}, "updates = 0 is out of bounds"),
        ({"updates": 1e3}, "updates = 1000.0 is not of type int"),
        ({"discount": None}, "discount = None is not of type float"),
        ({"discount": "0.9"}, "is not of type float"),
        ({"cql_weight": math.inf}, "cql_weight = inf is out of bounds; it must be a finite number"),
        ({"target_entropy": -math.inf}, "must be a finite number"),
        ({"cql_weight": 10**400}, "must be a finite number"),
        ({"initial_temperature": 0.0}, "out of bounds"),
        ({"embedding": ["add"]}, "is not a choice"),
        ({"embedding": 3}, "choose one of add, concat, onehot, none"),
        ({"backup_entropy": 1}, "is not of type bool"),
        ({"share_quantile": 95}, "share_quantile = 95.0 is out of bounds; it must be at least 0 and at most 1"),
        ({"settings": {"discount": 0.9}}, "unknown setting 'settings'"),
    ],
)
def test_bad_values_are_one_clear_sentence(changes, says):
    with pytest.raises(UserError) as caught:
        Settings().replace(changes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.floats(SHORTEST, 1e4), st.integers(1, 10**6), st.integers(1, 10**7))
def test_an_interval_is_epochs_or_a_part_of_the_run(interval, epoch, length):
    updates = interval_in_updates(interval, epoch, length)
    assert updates == max(1, round(interval * length if interval < 1 else interval * epoch))
    assert interval >= 1 or updates <= length
    assert interval_in_updates(5.0, 399, 8000) == 1995
    assert interval_in_updates(0.25, 399, 8000) == 2000


def test_whole_numbers_serve_as_floats():
    assert Settings().replace({"cql_weight": 5}).cql_weight == 5.0


def test_toml(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("discount = 0.9\n")
    assert read_toml(file) == {"discount": 0.9}
    file.write_text("discount = = 1\n")
    with pytest.raises(UserError, match=r"s\.toml is not valid TOML"):
        read_toml(file)
    with pytest.raises(UserError, match=r"cannot read .*none\.toml"):
        read_toml(tmp_path / "none.toml")


def test_toml_of_another_shape(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("[training]\ndiscount = 0.9\n")
    with pytest.raises(UserError, match="unknown setting 'training'"):
        Settings().replace(read_toml(file))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not valid TOML"):
        read_toml(file)
    with pytest.raises(UserError, match="cannot read"):
        read_toml(tmp_path)


def test_every_setting_can_be_given_in_toml(tmp_path):
    """Written out with other values than the defaults, and read back."""
    changed = {}
    for entry in fields(Settings):
        if words := choices(HINTS[entry.name], entry.metadata):
            changed[entry.name] = words[-1]
        elif plain_type(HINTS[entry.name]) is bool:
            changed[entry.name] = not entry.default
        else:
            changed[entry.name] = plain_type(HINTS[entry.name])(min(1, entry.metadata["high"]))
    file = tmp_path / "s.toml"
    file.write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in changed.items()))
    assert Settings().replace(read_toml(file)).as_dict() == changed


@pytest.mark.parametrize("name", EVERY)
def test_every_setting_explains_and_guards_itself(name):
    kind, entry = EVERY[name]
    assert len(entry.metadata["help"]) > 10
    defaults = kind()
    assert defaults.replace({name: getattr(defaults, name)}) == defaults
    with pytest.raises(UserError, match=name):
        defaults.replace({name: object()})
    hint, low, high = get_type_hints(kind)[name], entry.metadata["low"], entry.metadata["high"]
    number = plain_type(hint)
    if number in (int, float):
        for bound, beyond in ((low, -1), (high, 1)):
            if math.isfinite(bound):
                assert getattr(defaults.replace({name: number(bound)}), name) == bound
                with pytest.raises(UserError, match=f"{name} = .* is out of bounds; it must be at least"):
                    defaults.replace({name: number(bound + beyond)})
    for word in choices(hint, entry.metadata):
        assert getattr(defaults.replace({name: word}), name) == word


def test_a_mistyped_name_is_answered_with_the_right_one():
    for entry in fields(Settings):
        name = entry.name
        for wrong in (name[:-1], name + "x", name[1:]):
            if wrong != name:
                with pytest.raises(UserError, match="did you mean '"):
                    Settings().replace({wrong: 1})


@given(st.text(max_size=12), st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_unknown_always_makes_a_sentence(name, known):
    text = str(unknown("thing", name, known))
    assert text.startswith("unknown thing ")
    assert text[-1] in "?."


def test_settings_do_not_change_and_survive_json():
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.discount = 0.5
    changed = settings.replace({"discount": 0.5, "target_entropy": -3})
    assert (settings.discount, changed.discount) == (0.99, 0.5)
    assert Settings().replace(json.loads(json.dumps(changed.as_dict()))) == changed


@pytest.mark.parametrize("name", KINDS)
def test_settings_travel_between_processes(name):
    settings = KINDS[name]().replace({"batch_size": 7})
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_an_algorithm_has_no_setting_that_it_would_ignore():
    assert "cql_weight" not in KINDS["bc"]().as_dict()
    assert "embedding" not in KINDS["csac"]().as_dict()
    sharing = {"hcsac", "iql", "one_step", "rebrac", "td3_bc"}
    assert {name for name, kind in KINDS.items() if "sharing" in kind().as_dict()} == sharing
    with pytest.raises(UserError, match="unknown setting 'cql_weight'"):
        KINDS["bc"]().replace({"cql_weight": 3.0})


def test_a_setting_has_one_meaning():
    @dataclass(frozen=True, repr=False)
    class Other(Fields):
        cql_weight: float = setting(1.0, "something else that is weighted", 0)

    with pytest.raises(UserError, match=r"'cql_weight' of .*Other is defined by .*Conservative already; rename"):
        require_unique_names(Other)


def test_groups_keep_every_setting_once():
    for kind in KINDS.values():
        names = [entry.name for entries in groups(kind).values() for entry in entries]
        assert sorted(names) == sorted(entry.name for entry in fields(kind))
    found = {title: [entry.name for entry in entries] for title, entries in groups(KINDS["td3_bc"]).items()}
    assert found["TD3"] == ["policy_delay", "target_noise", "target_noise_clip"]
    assert found["TD3+BC"] == ["td3_alpha"]


def test_settings_show_what_differs_from_the_defaults():
    assert repr(Settings(batch_size=7)) == "HCSACSettings(batch_size=7)"
    assert repr(KINDS["bc"]()) == "BCSettings(the defaults)"
