"""The equations of TD3 against NumPy."""

import numpy as np
import torch

from hcsac.losses.imitation import squared_distance
from hcsac.losses.td3 import policy_loss, rebrac_target, smoothed_action, td3_target

random = np.random.default_rng(0)


def test_smoothed_action_clips_noise_and_action():
    action, noise = np.array([[[0.9, -0.95, 0.0]]]), np.array([[[5.0, -5.0, 1.0]]])
    result = smoothed_action(torch.tensor(action), torch.tensor(noise), 0.2, 0.5)
    np.testing.assert_allclose(result, [[[1.0, -1.0, 0.2]]])


def test_td3_target():
    reward, discount, q = random.normal(size=(2, 3)), random.uniform(size=(2, 3)), random.normal(size=(2, 2, 3))
    result = td3_target(*map(torch.tensor, (reward, discount, q)))
    np.testing.assert_allclose(result, reward + discount * np.minimum(q[:, 0], q[:, 1]))


def test_rebrac_target_is_lower_where_the_policy_leaves_the_logged_action():
    reward, discount, q = random.normal(size=(2, 3)), random.uniform(size=(2, 3)), random.normal(size=(2, 2, 3))
    action, logged = random.uniform(-1, 1, size=(2, 2, 3, 4))
    distance = squared_distance(torch.tensor(action), torch.tensor(logged))
    result = rebrac_target(*map(torch.tensor, (reward, discount, q)), distance, 0.3)
    penalty = 0.3 * ((action - logged) ** 2).sum(-1) / 4
    np.testing.assert_allclose(result, reward + discount * (np.minimum(q[:, 0], q[:, 1]) - penalty))


def test_policy_loss_reads_the_first_critic():
    q = random.normal(size=(2, 2, 3))
    np.testing.assert_allclose(policy_loss(torch.tensor(q)), -q[:, 0].mean(-1))
