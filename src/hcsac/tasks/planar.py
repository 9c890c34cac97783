"""The suite's planar bodies: trees of links that turn about y, and what follows from their angles and rates.

The state of a link is its angle in the plane, or (cos, sin) of it: the entries xx and xz of its rotation matrix. A root
slides along the track (x) and up (z). Lengths and masses are read from the model.
"""

from functools import cache
from typing import Any

import numpy as np

from hcsac.tasks.environment import dm_control_suite


def forward_speed(domain: str, orientations: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Horizontal velocity of the centre of mass, `subtreelinvel` of the torso's subtree, in metres per second.

    A link that turns at rate w moves the mass at its arm p (in its own frame) at w (cos p_z - sin p_x), and w is a sum
    of joint rates: the velocity is that of the root plus a bilinear form of rates and orientations.

    orientations [n, 2L]: cos and sin of each link; rates [n, V]: joint rates, those of the root first -> [n].
    """
    root, turning = _velocity_map(domain)
    return rates[:, root] + np.einsum("ni,ni->n", orientations, rates @ turning)


def orientations(domain: str, position: np.ndarray) -> np.ndarray:
    """cos and sin of the angle of each link: position [n, V - 1], all joints but the first (rootx) -> [n, 2L]."""
    angle = position @ _angle_map(domain)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(len(angle), -1)


def height_above(domain: str, body: str, other: str, orientations: np.ndarray) -> np.ndarray:
    """How far the centre of mass of a link lies above that of another, in metres: [n, 2L] -> [n]."""
    return orientations @ (_height_map(domain, body) - _height_map(domain, other))


@cache
def _model(domain: str) -> Any:
    module = getattr(dm_control_suite(), domain)
    return module.Physics.from_xml_string(*module.get_model_and_assets()).model


@cache
def _hinges(domain: str) -> dict[int, int]:
    """Link -> the hinge that turns it."""
    import mujoco

    model = _model(domain)
    return {int(model.jnt_bodyid[j]): int(j) for j in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE)}


def _path(domain: str, link: int) -> list[int]:
    """The link and those between it and the world, 0."""
    path = []
    while link:
        path.append(link)
        link = int(_model(domain).body_parentid[link])
    return path


@cache
def _velocity_map(domain: str) -> tuple[int, np.ndarray]:
    """Which rate moves the root along the track, and B [V, 2L] float32: velocity = rates[root] + rates B orientations.

    The arm of a link is its contribution to the position of a mass, averaged over all mass of the body: its own
    centre for its own mass, and the way from its joint to the next joint for the mass beyond that one.
    """
    model, hinges = _model(domain), _hinges(domain)
    mass, beyond = model.body_mass, model.body_subtreemass
    arm = mass[:, None] * model.body_ipos
    turning = np.zeros((model.nv, 2 * (model.nbody - 1)))
    for link, hinge in hinges.items():
        pivot = model.jnt_pos[hinge]
        arm[link] -= beyond[link] * pivot
        arm[model.body_parentid[link]] += beyond[link] * (model.body_pos[link] + pivot)
    for link in hinges:
        x, _, z = arm[link] / beyond[1]
        for moved_by in _path(domain, link):
            axis = model.jnt_axis[hinges[moved_by]][1]  # +1 or -1 about y
            turning[model.jnt_dofadr[hinges[moved_by]], 2 * link - 2 : 2 * link] = axis * z, -axis * x
    return int(model.joint("rootx").dofadr[0]), turning.astype(np.float32)


@cache
def _angle_map(domain: str) -> np.ndarray:
    """Which joints turn which link: [V - 1, L] float64 of 0 and +-1, without rootx."""
    model, hinges = _model(domain), _hinges(domain)
    turned = np.zeros((model.nv, model.nbody - 1))
    for link in hinges:
        for moved_by in _path(domain, link):
            turned[model.jnt_dofadr[hinges[moved_by]], link - 1] = model.jnt_axis[hinges[moved_by]][1]
    return turned[1:]


@cache
def _height_map(domain: str, body: str) -> np.ndarray:
    """w [2L]: the centre of mass of the link lies orientations . w above the origin of the torso."""
    model = _model(domain)
    height = np.zeros((model.nbody - 1, 2))
    offset = model.body_ipos[model.name2id(body, "body")]
    for link in _path(domain, model.name2id(body, "body")):
        height[link - 1] = offset[2], -offset[0]  # z of the offset turned by the link's angle: cos p_z - sin p_x
        offset = model.body_pos[link]
    return height.ravel()
