"""The presets: complete for every agent, and the numbers of their sources."""

from dataclasses import fields

import pytest

from hcsac.algorithms import AGENTS, PRESETS, preset, resolve
from hcsac.errors import UserError
from hcsac.settings import Settings

# From the slides, "Experiment Setup" and "Conservative Q-Learning"; k = 5 is read as the best 5 %.
SLIDES = {
    "hidden_layers": 3, "hidden_size": 256, "batch_size": 256, "epochs": 1000, "updates": None,
    "evaluate_interval": 10, "actor_learning_rate": 3e-4, "critic_learning_rate": 3e-4, "target_rate": 5e-3,
    "discount": 0.99, "cql_weight": 5.0, "cql_samples": 10, "share_interval": 100, "share_quantile": 0.95,
    "critics": 2, "embedding": "add", "backup_entropy": True, "next_actions": "none", "sharing": "quantile",
    "target_entropy": None,
}  # fmt: skip
# Work that the slides do not know, switched off.
PLAIN = {
    "bc_weight": 0.0, "bc_warmup": 0, "cql_backward": "all", "critic_layer_norm": False,
    "standardise_observations": False, "precision": "float32", "initial_temperature": 1.0,
}  # fmt: skip
# From the authors' final report and code; BC and CSAC are 256 wide there.
REPORT = {
    "hidden_layers": 3, "hidden_size": 1024, "batch_size": 1024, "actor_learning_rate": 1e-4,
    "critic_learning_rate": 3e-4, "target_rate": 0.01, "cql_weight": 10.0, "backup_entropy": False,
    "next_actions": "target_at_next", "embedding": "concat", "discount": 0.99, "cql_samples": 10,
    "share_quantile": 0.95, "sharing": "quantile",
}  # fmt: skip
SMALL = {"hidden_size": 256, "batch_size": 256}


def holds(settings, expected):
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize("agent", AGENTS)
def test_slides_preset_is_the_slides(agent):
    assert PRESETS["slides"] == ({}, {})  # the defaults are the slides
    holds(preset("slides", agent), SLIDES | PLAIN)


@pytest.mark.parametrize("agent", AGENTS)
def test_report_preset_is_the_report(agent):
    changes = {"bc": SMALL | {"actor_learning_rate": 1e-3}, "csac": SMALL}.get(agent, {})
    holds(preset("report", agent), REPORT | PLAIN | changes)


def test_quick_preset_compares_agents_of_equal_size_and_length():
    assert len({preset("quick", agent) for agent in AGENTS}) == 1
    assert preset("quick", "hcsac").updates is not None


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("agent", AGENTS)
def test_every_preset_is_complete_and_can_run(name, agent):
    settings = preset(name, agent)
    assert isinstance(settings, Settings)
    resolved = resolve(agent, settings.replace({"device": "cpu"}), ["walker-walk"])
    assert resolved.precision in ("float32", "bf16")
    assert resolved.sharing == ("quantile" if agent == "hcsac" else "none")
    assert (resolved.reward_rule, resolved.target_pessimism) == ("keep", "min")  # as in the slides and in the report


def test_presets_name_real_settings_and_agents():
    names = {entry.name for entry in fields(Settings)}
    for common, single in PRESETS.values():
        assert set(single) <= set(AGENTS)
        for changes in (common, *single.values()):
            assert set(changes) <= names


@pytest.mark.parametrize(
    ("name", "agent", "says"),
    [
        ("slide", "hcsac", "unknown preset 'slide'; did you mean 'slides'?"),
        ("zzz", "hcsac", "known: quick, report, slides."),
        ("slides", "mtcsak", "unknown agent 'mtcsak'; did you mean 'mtcsac'?"),
    ],
)
def test_unknown_names(name, agent, says):
    with pytest.raises(UserError) as caught:
        preset(name, agent)
    assert says in str(caught.value)
