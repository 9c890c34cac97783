"""Collecting datasets by training online TD3 in a task."""

from hcsac.collection.collect import CollectSettings, collect

__all__ = ["CollectSettings", "collect"]
