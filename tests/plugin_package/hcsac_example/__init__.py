"""What this package adds to hcsac: importing it registers everything."""

from hcsac_example import cvar, example_csv, iql, push, top

__all__ = ["cvar", "example_csv", "iql", "push", "top"]
