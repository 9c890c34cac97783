"""Online TD3 in a task, and the datasets it leaves."""

from hcsac.collection.collect import CollectSettings, collect

__all__ = ["CollectSettings", "collect"]
