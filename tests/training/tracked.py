"""`python -m tests.training.tracked DIRECTORY [STOP]`: a small run with every tracker, stopped in an update or not.

A process of its own, because the trackers read their environment once and leave threads and servers to its end. It may
reach nothing but this machine.
"""

import sys

from hcsac.data.dataset import Dataset
from hcsac.training import setup, train
from tests.conftest import TASKS, slide_episodes
from tests.training.conftest import settings
from tests.training.test_resume import Stop, stop_at


def stay_home(event, arguments):
    """An audit hook that refuses the network."""
    address = {"socket.connect": 1, "socket.getaddrinfo": 0}.get(event)
    if address is not None:
        host = arguments[address][0] if isinstance(arguments[address], tuple) else arguments[address]
        local = isinstance(arguments[address], bytes | str) and event == "socket.connect"  # a Unix socket
        if not local and host not in ("127.0.0.1", "::1", "localhost", None):
            print(f"REACHED OUT to {host}", file=sys.stderr, flush=True)
            raise OSError("no network in tests")


if __name__ == "__main__":
    sys.addaudithook(stay_home)
    if len(sys.argv) > 2:
        make = setup.make_algorithm

        def fragile(*arguments, **named):
            agent = make(*arguments, **named)
            agent.advance = stop_at(agent.advance, int(sys.argv[2]))
            return agent

        setup.make_algorithm = fragile
    data = Dataset.from_episodes({name: slide_episodes(name) for name in TASKS})
    given = {"seeds": (0, 5), "resume": True, "progress": False, "trackers": ("wandb", "mlflow", "trackio")}
    try:
        train("hcsac", data, sys.argv[1], settings(), **given)
    except Stop:
        print("stopped")
