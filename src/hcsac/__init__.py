"""hcsac: one policy for all tasks of a robot, learned from logged data alone."""
