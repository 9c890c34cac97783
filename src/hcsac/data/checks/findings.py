"""What the dataset checks can find: every kind once, with its severity and how to fix it."""

from dataclasses import dataclass
from typing import Any

ERROR, WARNING, PASSED, SKIPPED = "error", "warning", "passed", "skipped"
_WORST_FIRST = (ERROR, WARNING)
_UNREADABLE = {"wrong-shape", "size-mismatch", "unequal-lengths", "not-finite", "action-out-of-bounds"}

_VERIFY = (
    "look at one step: which row has the {label} that led from one observation to the next? Or store simulator states, "
    "and every step is replayed. Move every {label} one row {where} only if that confirms it."
)
# kind -> (severity, fix). An error is proven, and training on such data gives wrong results, or the checks end; a
# warning is only likely, or probably unintended. docs/data-check.md has a line for each.
KINDS: dict[str, tuple[str, str]] = {
    "wrong-shape": (
        ERROR,
        "save each array with the same number of dimensions and sizes, and leave out empty episodes.",
    ),
    "size-mismatch": (ERROR, "name the task that the data were logged for, or log with this task's environment."),
    "unequal-lengths": (ERROR, "cut the longer array: one entry for each step between two observations."),
    "not-finite": (ERROR, "leave the episode out, or log it again."),
    "action-out-of-bounds": (
        ERROR,
        "give the robot's own bounds, by the task's action_bounds or the import's --action-low and --action-high.",
    ),
    "end-before-last-step": (ERROR, "split the episode there."),
    "missing-end": (ERROR, "mark the last step truncated, or terminated if it reached a terminal state."),
    "split-episode": (WARNING, "join the two, unless the robot is never reset: then it is as good as a time limit."),
    "merged-episodes": (ERROR, "split the episode there; no step leads to the first state of the next episode."),
    "episodes-perhaps-merged": (
        WARNING,
        "look at the observations there; if no step can lead from one to the next, split the episode.",
    ),
    "missing-step": (ERROR, "split the episode there, or log the lost steps again."),
    "time-limit-as-termination": (ERROR, "store it as truncated: reaching the time limit is not a terminal state."),
    "termination-at-time-limit": (
        WARNING,
        "if only the time limit was reached, store it as truncated: that is not a terminal state.",
    ),
    "termination-as-time-limit": (ERROR, "store it as terminated: no reward follows a terminal state."),
    "unfounded-termination": (ERROR, "store it as truncated, unless the state is terminal for an unobserved reason."),
    "early-truncation": (
        WARNING,
        "if that state is terminal store it as terminated; if only logging stopped, keep it.",
    ),
    "simulator-state-mismatch": (ERROR, "store the simulator state that each observation was made from, or none."),
    "observations-shifted": (ERROR, "move the observations by {shift}, so that row t is the observation of step t."),
    "observation-column-wrong": (ERROR, "compute the column again from the simulator states, or fix its logging."),
    "actions-shifted": (ERROR, "{move}"),
    "rewards-shifted": (ERROR, "{move}"),
    "actions-perhaps-shifted": (WARNING, _VERIFY),
    "rewards-perhaps-shifted": (WARNING, _VERIFY),
    "actions-do-not-fit": (ERROR, "find out which of states, actions and simulator differs from what was logged."),
    "rewards-of-another-task": (ERROR, "declare the data as {task}, or compute the rewards of the declared task."),
    "rewards-scaled": (ERROR, "undo the scaling: (reward - {offset:.6g}) / {scale:.6g} is the task's reward."),
    "rewards-noisy": (ERROR, "replace the rewards by the task's own."),
    "rewards-do-not-fit": (ERROR, "replace the rewards by the task's own, or declare the task they belong to."),
    "returns-above-expert": (WARNING, "check whether the rewards are scaled, or summed over several steps."),
    "constant-rewards": (WARNING, "make sure that the rewards were logged; nothing can be learned from these."),
    "duplicated-episode": (
        WARNING,
        "leave one of the two out, which counts twice in every mean and every minibatch, unless the world and the "
        "controller are free of noise and both episodes began alike.",
    ),
    "repeated-steps": (
        WARNING,
        "cut the copy out and split its episode there, unless world and controller are free of noise and came to the "
        "same state twice.",
    ),
    "saturated-actions": (WARNING, "make sure that actions were not clipped or scaled after they were chosen."),
    "constant-action": (WARNING, "make sure that this action was logged; no other value of it can be learned."),
    "constant-observation-column": (WARNING, "fix its logging, or leave the column out of every dataset."),
    "column-scale": (WARNING, "{mend}"),
    "coarse-numbers": (WARNING, "log in float32; what rounding removed cannot be restored."),
}


@dataclass(frozen=True)
class Finding:
    """One problem: its kind, its severity, the evidence (numbers, which episode and step) and how to fix it."""

    kind: str
    severity: str
    evidence: str
    fix: str


def make_finding(kind: str, evidence: str, **details: Any) -> Finding:
    """A finding of a kind in `KINDS`; `details` fill the placeholders of its fix."""
    severity, fix = KINDS[kind]
    return Finding(kind, severity, evidence, fix.format(**details))


@dataclass(frozen=True)
class Check:
    """One check: what was measured, in a sentence or two, and its findings.

    `numbers` are the measurements as JSON values by name; `skipped` marks a check that the data did not allow.
    """

    name: str
    message: str
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
    """All checks of one dataset."""

    dataset: str
    task: str
    checks: tuple[Check, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the checks."""
        return tuple(finding for check in self.checks for finding in check.findings)

    @property
    def kinds(self) -> set[str]:
        """The kinds found."""
        return {finding.kind for finding in self.findings}

    @property
    def passed(self) -> bool:
        """Whether there is no error; skipped checks do not count against it."""
        return all(finding.severity != ERROR for finding in self.findings)

    @property
    def readable(self) -> bool:
        """Whether shapes, lengths, numbers and bounds are right, so that the other checks could run."""
        return not self.kinds & _UNREADABLE

    @property
    def verdict(self) -> str:
        """`passed`, or how many findings of which severity, as `failed: 1 error, 2 warnings`."""
        counts = [(s, sum(f.severity == s for f in self.findings)) for s in _WORST_FIRST]
        listed = ", ".join(f"{count} {severity}{'s' if count > 1 else ''}" for severity, count in counts if count)
        return ("passed" if self.passed else "failed") + (f": {listed}" if listed else "")

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"{self.dataset} ({self.task}): {self.verdict}"]
        for check in self.checks:
            # A histogram below the sentence keeps its own lines.
            head, *drawn = check.message.split("\n")
            lines.append(f"  {check.status:<7}  {check.name:<{width}}  {head}")
            lines += [f"  {'':7}  {'':{width}}  {line}" for line in drawn]
            lines += [f"{'':12}{f.severity}: {f.kind}: {f.evidence} To fix: {f.fix}" for f in check.findings]
        return "\n".join(lines)
