"""Damaged files for the readers of hcsac: `python -m fuzz [READER...] --inputs N`.

A reader must give a value or raise a `UserError`: no other exception, no crash, no more than 10 seconds or 1 GiB. Where
the file has a checksum, the value must be the one that was written.
"""
