"""What an examination can find: every kind once, with its severity and its mend."""

from dataclasses import dataclass
from typing import Any

ERROR, WARNING, NOTE, PASSED, SKIPPED = "error", "warning", "note", "passed", "skipped"
_WORST_FIRST = (ERROR, WARNING, NOTE)
_UNREADABLE = {"wrong shape", "another robot", "unequal lengths", "not finite", "action out of bounds"}

# kind -> (severity, mend). An error teaches an agent something false or stops the examination, a warning is probably
# not what was meant, a note is worth knowing. docs/data-check.md has a line for each.
KINDS: dict[str, tuple[str, str]] = {
    "wrong shape": (ERROR, "save each array with the shape and sizes the others have, and leave empty episodes out."),
    "another robot": (ERROR, "name the task that the data were logged for, or log with this one's environment."),
    "unequal lengths": (ERROR, "cut the longer array to the rows that belong to a step between two observations."),
    "not finite": (ERROR, "leave the episode out, or log it again."),
    "action out of bounds": (ERROR, "scale actions to [-1, 1], as the environment's actions are scaled."),
    "end in the middle": (ERROR, "split the episode there."),
    "no end": (ERROR, "mark the last step truncated, or terminated if the world ended."),
    "split episode": (ERROR, "join the two, they are one."),
    "joined episodes": (ERROR, "split the episode there; what the next one begins with is no outcome of a step."),
    "missing step": (ERROR, "split the episode there, or log the lost steps again."),
    "time limit as termination": (ERROR, "store it as truncated: a clock that runs out does not end the world."),
    "termination as time limit": (ERROR, "store it as terminated: nothing can be earned after the world's end."),
    "unfounded termination": (ERROR, "store it as truncated, unless the world ended for a reason outside the state."),
    "early truncation": (WARNING, "if the world ended there store it as terminated; if only the log did, it is well."),
    "physics of other steps": (ERROR, "store with each observation the physics state it was made from, or none."),
    "observations shifted": (ERROR, "move the observations by {rows}, so that row t is what is seen at step t."),
    "observation column wrong": (ERROR, "compute the column again from the physics states, or mend its logging."),
    "actions shifted": (ERROR, "{move}"),
    "rewards shifted": (ERROR, "{move}"),
    "actions do not fit": (ERROR, "find out which of states, actions and simulator is another than logged."),
    "rewards of another task": (ERROR, "declare the data as {task}, or compute the rewards of the declared task."),
    "rewards scaled": (ERROR, "undo the scaling: (reward - {offset:.6g}) / {scale:.6g} is the task's own."),
    "rewards noisy": (ERROR, "replace the rewards by the task's own."),
    "rewards do not fit": (ERROR, "replace the rewards by the task's own, or declare the task they belong to."),
    "returns above the expert": (WARNING, "look for rewards that are scaled, or summed over several steps."),
    "constant rewards": (WARNING, "make sure that the rewards were logged; there is nothing to learn from these."),
    "duplicated episode": (ERROR, "leave one of the two out; it counts twice in every mean and every minibatch."),
    "repeated steps": (ERROR, "cut the copy out and split its episode there."),
    "saturated actions": (WARNING, "make sure that actions were not clipped or scaled after they were chosen."),
    "constant action": (WARNING, "make sure that this action was logged; nothing can be learned about others."),
    "constant observation column": (WARNING, "mend its logging, or leave the column out of every dataset."),
    "column scale": (WARNING, "use the environment's units, or train with standardised observations."),
    "coarse numbers": (WARNING, "log in float32; what rounding took away cannot be computed back."),
}


@dataclass(frozen=True)
class Finding:
    """One fault: its kind, how bad it is, the evidence (numbers, which episode and step) and the mend."""

    kind: str
    severity: str
    evidence: str
    mend: str


def found(kind: str, evidence: str, **told: Any) -> Finding:
    """A finding of a kind in `KINDS`; `told` fills the blanks of its mend."""
    severity, mend = KINDS[kind]
    return Finding(kind, severity, evidence, mend.format(**told))


@dataclass(frozen=True)
class Look:
    """One thing examined: what was measured, in a sentence or two, and what it shows.

    `numbers` are the same for programs, JSON values by name; `skipped` says that it could not be examined.
    """

    name: str
    said: str
    findings: tuple[Finding, ...] = ()
    skipped: bool = False
    numbers: dict[str, Any] | None = None

    @property
    def status(self) -> str:
        """`skipped`, `passed`, or the worst severity found."""
        severities = {finding.severity for finding in self.findings}
        worst = next((severity for severity in _WORST_FIRST if severity in severities), PASSED)
        return SKIPPED if self.skipped and not self.findings else worst


@dataclass(frozen=True)
class Report:
    """The examination of one dataset."""

    dataset: str
    task: str
    looks: tuple[Look, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All faults, in the order of the looks."""
        return tuple(finding for look in self.looks for finding in look.findings)

    @property
    def kinds(self) -> set[str]:
        """The kinds found."""
        return {finding.kind for finding in self.findings}

    @property
    def passed(self) -> bool:
        """Whether there is no error; what was skipped, with its reason, does not count against it."""
        return all(finding.severity != ERROR for finding in self.findings)

    @property
    def readable(self) -> bool:
        """Whether the arrays are as they must be, so that more than their form could be examined."""
        return not self.kinds & _UNREADABLE

    @property
    def verdict(self) -> str:
        """`passed`, or how many findings of which severity, as `failed: 1 error, 2 warnings`."""
        counts = [(s, sum(f.severity == s for f in self.findings)) for s in _WORST_FIRST]
        listed = ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count)
        return ("passed" if self.passed else "failed") + (f": {listed}" if listed else "")

    def __str__(self) -> str:
        width = max(len(look.name) for look in self.looks)
        lines = [f"{self.dataset} ({self.task}): {self.verdict}"]
        for look in self.looks:
            # What is drawn below the sentence keeps its own lines.
            head, *drawn = look.said.split("\n")
            lines.append(f"  {look.status:<7}  {look.name:<{width}}  {head}")
            lines += [f"  {'':7}  {'':{width}}  {line}" for line in drawn]
            lines += [f"{'':12}{f.severity}: {f.kind}: {f.evidence} Mend: {f.mend}" for f in look.findings]
        return "\n".join(lines)
