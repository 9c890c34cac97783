"""How long a training will about take: a few updates at several points of it are timed, and undone."""

import time

from hcsac.training.loop import Loop

POINTS, UPDATES = 5, 2  # timed, after one that is not


def seconds_of_updates(loop: Loop) -> float:
    """Seconds that all updates of a training will about take on this machine; the training stays as it is.

    Updates may differ along a run (a warm-up, critics before actors), so that some are timed at evenly spaced points.
    """
    algorithm, active, total = loop.algorithm, loop.active, loop.schedule.total
    before, drawn = algorithm.state(), active.state()
    before = {name: tensor.clone() for name, tensor in before.items()}
    spent = []
    for point in range(POINTS):
        for number in range(1 + UPDATES):
            algorithm.updates = min(int((point + 0.5) / POINTS * total), total - 1)
            began = time.perf_counter()
            info = algorithm.advance(active.sample(*algorithm.next_draw()))
            for value in info.values():  # a GPU has then finished
                value.cpu()
            if number > 0:
                spent.append(time.perf_counter() - began)
    algorithm.load_state(before)
    active.load_state(drawn)
    return total * sum(spent) / len(spent)
