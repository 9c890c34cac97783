"""Work is not lost: processes killed at any moment, and file operations that fail, one at a time.

`python -m tests.reliability` runs the long form and prints the figures of docs/reliability.md.
"""
