"""Settings, presets and the files they come from."""

import pytest

from hcsac.agents import AGENTS, PRESETS, preset
from hcsac.errors import UserError
from hcsac.settings import Settings, read_toml


@pytest.mark.parametrize("agent", AGENTS)
def test_slides_preset_is_the_slides(agent):
    s = preset("slides", agent)
    assert (s.hidden_layers, s.hidden_size, s.batch_size) == (3, 256, 256)
    assert s.actor_learning_rate == s.critic_learning_rate == 3e-4
    assert (s.epochs, s.evaluate_interval, s.share_interval, s.updates) == (1000, 10, 100, None)
    assert (s.target_rate, s.discount, s.cql_weight, s.cql_samples) == (5e-3, 0.99, 5.0, 10)
    assert (s.embedding, s.next_actions, s.backup_entropy, s.share_quantile) == ("add", "none", True, 0.95)
    assert (s.sharing, s.reward_rule, s.standardise_observations) == ("quantile", "keep", False)
    assert (s.bc_weight, s.bc_warmup, s.cql_backward) == (0.0, 0, "all")


def test_report_preset_is_the_report():
    s = preset("report", "hcsac")
    assert (s.hidden_layers, s.hidden_size, s.batch_size) == (3, 1024, 1024)
    assert (s.actor_learning_rate, s.critic_learning_rate, s.target_rate) == (1e-4, 3e-4, 0.01)
    assert (s.cql_weight, s.backup_entropy, s.next_actions) == (10.0, False, "target_at_next")
    assert preset("report", "csac").hidden_size == 256
    assert preset("report", "bc").actor_learning_rate == 1e-3


def test_every_preset_is_complete_for_every_agent():
    for name in PRESETS:
        for agent in AGENTS:
            assert isinstance(preset(name, agent), Settings)


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
    ],
)
def test_bad_values_are_one_clear_sentence(changes, says):
    with pytest.raises(UserError) as caught:
        Settings().replace(changes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_whole_numbers_serve_as_floats():
    assert Settings().replace({"cql_weight": 5}).cql_weight == 5.0


def test_toml(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("discount = 0.9\n")
    assert read_toml(file) == {"discount": 0.9}
    file.write_text("discount = = 1\n")
    with pytest.raises(UserError, match=r"s\.toml is not valid TOML"):
        read_toml(file)
    with pytest.raises(UserError, match=r"cannot read settings file .*none\.toml"):
        read_toml(tmp_path / "none.toml")
