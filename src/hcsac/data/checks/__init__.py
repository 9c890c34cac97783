"""Dataset checks: each problem of a dataset with the evidence for it and how to fix it."""

from hcsac.data.checks.check import STEPS, check, examine
from hcsac.data.checks.findings import ERROR, KINDS, WARNING, Check, Finding, Report
from hcsac.data.checks.matrix import SAMPLED, Matrix, cross_task

__all__ = [
    "ERROR",
    "KINDS",
    "SAMPLED",
    "STEPS",
    "WARNING",
    "Check",
    "Finding",
    "Matrix",
    "Report",
    "check",
    "cross_task",
    "examine",
]
