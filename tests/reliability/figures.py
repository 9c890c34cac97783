"""What the long form has counted so far: kept in a file, added to by every start, and shown in docs/reliability.md."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.inputs import OUTCOMES
from hcsac.files import write_atomically

ROOT = Path(__file__).parents[2]
FILE, PAGE = ROOT / "tests" / "reliability" / "figures.json", ROOT / "docs" / "reliability.md"
KINDS = ("tests", "kills", "faults", "inputs")
LOST = ("failed", "other results", "tracebacks", *OUTCOMES[2:])  # what should never be counted
_BEGIN, _END = "<!-- figures, by python -m tests.reliability -->", "<!-- end of figures -->"


class Piece(NamedTuple):
    """A minute or so of work: `count` kills of a job, failing operations, or damaged files, from number `first` on."""

    kind: str  # one of KINDS
    name: str  # of a file of tests, a job or a reader
    first: int
    count: int


class Figures:
    """Counts by kind and name, since a first day."""

    def __init__(self, path: Path = FILE):
        self.path = path
        content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        self.since, self.until = content.get("since", str(date.today())), content.get("until", "")
        self.counts = {kind: {k: Counter(v) for k, v in content.get(kind, {}).items() if v} for kind in KINDS}

    def of(self, kind: str, name: str) -> Counter[str]:
        """The counts of a name; none yet where it has none."""
        return self.counts[kind].get(name, Counter())

    def forget(self, names: Iterable[str]) -> None:
        """Count from zero for these names: of what was lost and is mended."""
        for name in names:
            for kind in KINDS:
                self.counts[kind].pop(name, None)

    def add(self, piece: Piece, found: Counter[str]) -> None:
        """Add what came of a piece and save all; of tests and of a job's operations the last count is kept."""
        held = self.counts[piece.kind].setdefault(piece.name, Counter())
        if piece.kind == "tests":
            held.clear()
        held["operations"] = 0
        held.update(found)
        self.until = str(date.today())
        kinds = {kind: {name: +self.counts[kind][name] for name in sorted(self.counts[kind])} for kind in KINDS}
        with write_atomically(self.path) as aside:
            aside.write_text(json.dumps({"since": self.since, "until": self.until, **kinds}, indent=1) + "\n")

    def lost(self) -> int:
        """How often something was lost or let in."""
        return sum(counts[word] for kind in KINDS for counts in self.counts[kind].values() for word in LOST)

    def text(self) -> str:
        """The tables of the page, in Markdown."""
        killed = ("done", "other results")
        failed = ("operations", "done", "faults", "other results", "tracebacks")
        jobs = [
            _row(job, self.of("kills", job), killed) + _row("", self.of("faults", job), failed)[1:]
            for job in sorted({*self.counts["kills"], *self.counts["faults"]})
        ]
        inputs = [_row(name, counts, ("done", *OUTCOMES)) for name, counts in sorted(self.counts["inputs"].items())]
        tests = [
            _row(f"`{name}`", counts, ("passed", "failed")) for name, counts in sorted(self.counts["tests"].items())
        ]
        head = ("job", "kills", "other results", "operations", "of them tried", "faults", "other results", "tracebacks")
        return "\n\n".join(
            [
                f"On {self.since}:" if self.since == self.until else f"From {self.since} to {self.until}:",
                _table(head, jobs),
                _table(("reader", "damaged files", *OUTCOMES), inputs),
                _table(("tests", "passed", "failed"), tests),
            ]
        )

    def page(self, text: str) -> str:
        """The page with these tables in the place of its own."""
        before, _, rest = text.partition(_BEGIN)
        _, _, after = rest.partition(_END)
        return f"{before}{_BEGIN}\n\n{self.text()}\n\n{_END}{after}"


def _row(name: str, counts: Counter[str], columns: Iterable[str]) -> list[str]:
    return [name, *(f"{counts[column]:,}" if counts else "" for column in columns)]


def _table(head: Iterable[str], rows: Iterable[list[str]]) -> str:
    lines = [list(head), ["---", *["---:"] * (len(list(head)) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
