"""What arrays with names of ends say, together and apart."""

import numpy as np
import pytest

from hcsac.data.formats.ends import DONE, TERMINATED, TRUNCATED, read_ends, require_understood
from hcsac.errors import UserError

LAST, NEVER = np.array([0, 0, 1]), np.zeros(3)


def of(**arrays):
    ends = read_ends(arrays, 3, "log")
    return ends.terminated.tolist(), ends.truncated.tolist()


@pytest.mark.parametrize(
    "form", [np.asarray, lambda x: x[:, None], lambda x: x.astype(bool), lambda x: x.astype(np.float32)]
)
@pytest.mark.parametrize("name", [*TERMINATED, *DONE])
def test_terminal_states(name, form):
    assert of(**{name: form(LAST)}) == ([False, False, True], [False] * 3)


@pytest.mark.parametrize("name", TRUNCATED)
def test_time_limits(name):
    assert of(**{name: LAST}) == ([False] * 3, [False, False, True])


def test_together():
    end, no = [False, False, True], [False] * 3
    assert of() == (no, no)
    assert of(terminals=NEVER, timeouts=LAST) == (no, end)
    assert of(done=LAST, timeouts=LAST) == (no, end)  # Gym's old interface: done at the time limit, too
    assert of(done=LAST, terminated=NEVER) == (no, end)  # done for another reason
    assert of(done=LAST, terminated=LAST) == (end, no)
    assert of(terminated=LAST, truncated=LAST) == (end, end)
    assert of(terminal=LAST, terminals=LAST) == (end, no)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"terminal": LAST, "terminals": NEVER}, "terminal and terminals differ"),
        ({"done": NEVER, "terminated": LAST}, "terminal and not done"),
        ({"done": np.array([0, 0, 2])}, "done has values other than 0 and 1"),
        ({"done": np.array([0, 0, np.nan])}, "done has values other than 0 and 1"),
        ({"done": np.array(["a", "b", "c"])}, "must be 0 or 1 for each row"),
        ({"done": np.zeros((3, 2))}, "must be 0 or 1 for each row"),
        ({"timeouts": np.zeros(4)}, "timeouts has 4 rows, but there are 3"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arrays, message):
    with pytest.raises(UserError, match=f"log.*{message}"):
        of(**arrays)


@pytest.mark.parametrize("name", ["is_done", "episode_end", "Ended", "reset", "terminal_flag", "success", "done_flags"])
def test_a_name_that_may_be_an_end_is_not_passed_over(name):
    with pytest.raises(UserError, match=f"{name} may say where episodes end"):
        require_understood([name], "log")


def test_other_names_are_no_ends():
    require_understood(["end_effector", "last_action", "friend", "is_last", "next.done", "terminals", "lasting"], "log")
