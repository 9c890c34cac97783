"""Adam against PyTorch's, in both of its forms."""

import pytest
import torch

from hcsac.algorithms.adam import Adam


def parameters():
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=draw).requires_grad_() for shape in [(2, 3, 4), (2, 1), (2,)]]


def loss(values):
    return sum((p**3).reshape(2, -1).sum(1) for p in values[:2])  # the last one has no gradient


@pytest.mark.parametrize("plain", [False, True])
def test_steps_like_pytorch(plain, monkeypatch):
    if plain:
        monkeypatch.setattr(Adam, "_fused", Adam._plain)
    ours, theirs = parameters(), parameters()
    adam, reference = Adam(ours, 0.01), torch.optim.Adam(theirs, lr=0.01)
    for _ in range(20):
        adam.step(loss(ours))
        for p, g in zip(theirs, torch.autograd.grad(loss(theirs).sum(), theirs, materialize_grads=True), strict=True):
            p.grad = g
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    assert not torch.equal(ours[0], parameters()[0])
    assert torch.equal(ours[2], parameters()[2])


def test_state_comes_back():
    ours, other = parameters(), parameters()
    adam, copy = Adam(ours, 0.01), Adam(other, 0.01)
    adam.step(loss(ours))
    copy.load_state_dict(adam.state_dict())
    assert set(adam.state_dict()) == {"count", *(f"{i}.{kind}" for i in range(3) for kind in ("first", "second"))}
    for key, tensor in adam.state_dict().items():
        assert torch.equal(tensor, copy.state_dict()[key]), key
    assert float(copy.count) == 1


def test_moments_move_with_their_module():
    """Steps after a move use the moved moments."""
    ours = parameters()
    adam = Adam(ours, 0.01)
    adam.step(loss(ours))
    adam.to(torch.float64)
    assert all(moment.dtype == torch.float64 for moment in (*adam._first, *adam._second))
    assert adam._first[0] is adam.state_dict(keep_vars=True)["0.first"]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_a_falling_rate_is_that_of_pytorchs_schedulers(decay, plain, monkeypatch):
    if plain:
        monkeypatch.setattr(Adam, "_fused", Adam._plain)
    ours, theirs = parameters(), parameters()
    adam, reference = Adam(ours, 0.01, decay, 12), torch.optim.Adam(theirs, lr=0.01)
    schedulers = torch.optim.lr_scheduler
    falling = (
        schedulers.LinearLR(reference, 1.0, 0.0, 12) if decay == "linear"
        else schedulers.CosineAnnealingLR(reference, 12)
    )  # fmt: skip
    for _ in range(12):
        adam.step(loss(ours))
        for p, g in zip(theirs, torch.autograd.grad(loss(theirs).sum(), theirs, materialize_grads=True), strict=True):
            p.grad = g
        reference.step()
        falling.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    settled = [p.detach().clone() for p in ours]
    adam.step(loss(ours))
    assert all(torch.equal(p, old) for p, old in zip(ours, settled, strict=True)), "moves after its last step"
