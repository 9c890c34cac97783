"""The presets: complete for every agent, and the numbers of their sources."""

import pytest

from hcsac.algorithms import ALGORITHMS, PRESETS, preset, resolve, settings_of
from hcsac.errors import UserError
from hcsac.settings import Settings, Sharing, applicable, interval_in_updates

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
    "bc_weight": 0.0, "bc_warmup": 0, "cql_backward": "all", "critic_layer_norm": "none",
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


AGENTS = ("bc", "csac", "mtcsac", "hcsac")  # of the slides


def holds(settings, expected):
    expected = applicable(type(settings), expected)
    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize("agent", AGENTS)
def test_slides_preset_is_the_slides(agent):
    assert PRESETS["slides"] == {}  # the defaults are the slides
    holds(preset("slides", agent), SLIDES | PLAIN)


@pytest.mark.parametrize("agent", AGENTS)
def test_paper_preset_is_the_authors_report(agent):
    changes = {"bc": SMALL | {"actor_learning_rate": 1e-3}, "csac": SMALL}.get(agent, {})
    holds(preset("paper", agent), REPORT | PLAIN | changes)
    assert preset("report", agent) == preset("paper", agent)  # its name in earlier versions


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("transitions", [5_000, 102_000, 10_000_000])
def test_every_preset_shares_five_times_before_the_end(name, transitions):
    for settings in (preset(name, agent) for agent in ALGORITHMS.names()):
        if isinstance(settings, Sharing):
            length = settings.length(transitions)
            interval = interval_in_updates(settings.share_interval, settings.epoch(transitions), length)
            assert (length - 1) // interval >= 5


def test_quick_preset_compares_algorithms_of_equal_size_and_length():
    chosen = [preset("quick", name) for name in ALGORITHMS.names()]
    for what in ("hidden_layers", "hidden_size", "batch_size", "updates", "standardise_observations"):
        assert len({getattr(settings, what) for settings in chosen}) == 1
    assert chosen[0].updates is not None


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("agent", ALGORITHMS.names())
def test_every_preset_is_complete_and_can_run(name, agent):
    settings = preset(name, agent)
    assert isinstance(settings, Settings)
    resolved = resolve(agent, settings.replace({"device": "cpu"}), ["walker-walk"])
    assert resolved.precision in ("float32", "bf16")
    assert getattr(resolved, "sharing", "none") == ("quantile" if agent == "hcsac" else "none")
    # As in the slides and in the report.
    assert (getattr(resolved, "reward_rule", "keep"), getattr(resolved, "target_pessimism", "min")) == ("keep", "min")


def test_presets_name_real_settings():
    names = {name for algorithm in ALGORITHMS.names() for name in settings_of(algorithm)().as_dict()}
    assert all(set(changes) <= names for changes in PRESETS.values())
    for algorithm in ALGORITHMS.names():
        own = ALGORITHMS.get(algorithm).presets
        assert all(set(changes) <= set(settings_of(algorithm)().as_dict()) for changes in own.values())


@pytest.mark.parametrize(
    ("name", "agent", "says"),
    [
        ("slide", "hcsac", "unknown preset 'slide'; did you mean 'slides'?"),
        ("zzz", "hcsac", "known: best, paper, quick, slides."),
        ("slides", "mtcsak", "unknown algorithm 'mtcsak'; did you mean 'mtcsac'?"),
    ],
)
def test_unknown_names(name, agent, says):
    with pytest.raises(UserError) as caught:
        preset(name, agent)
    assert says in str(caught.value)
