"""Floating-point operations of the matrix products in one update, counted from the shapes."""

from hcsac.settings import Settings


def of_bc(settings: Settings, observation_size: int, action_size: int) -> int:
    """Operations of a BC update: forward, and backward to weights and hidden activations."""
    H, L, B = settings.hidden_size, settings.hidden_layers, settings.batch_size
    first, hidden, last = observation_size * H, (L - 1) * H * H, H * action_size
    return 2 * B * (2 * first + 3 * hidden + 3 * last)  # no gradient to the observation


def of_conservative_sac(settings: Settings, observation_size: int, action_size: int) -> int:
    """Operations of an update of `ConservativeSAC` with `cql_backward = all` and `next_actions = none`."""
    H, L, B, E = settings.hidden_size, settings.hidden_layers, settings.batch_size, settings.critics
    S, A, values = observation_size, action_size, 1 + 2 * settings.cql_samples  # the logged action, and 2 K proposals
    hidden = (L - 1) * H * H
    actor = S * H + hidden + H * 2 * A
    critic = S * H + A * H + hidden + H
    update_actor = B * (actor + S * H + 2 * (hidden + H * 2 * A))  # first layer: weights only
    through_critics = E * B * (critic + A * H + hidden + H)  # backward to the action, not to the weights
    targets = B * actor + E * B * critic
    state_half = E * B * 2 * S * H
    action_half = E * B * values * 2 * A * H
    rest = E * B * values * 3 * (hidden + H)
    return 2 * (update_actor + through_critics + targets + state_half + action_half + rest)
