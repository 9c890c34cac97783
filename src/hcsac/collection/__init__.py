"""Collecting datasets by training online TD3 in a task."""

from hcsac.collection.collect import collect
from hcsac.collection.file import NAMESPACE, Request, read_collections
from hcsac.collection.jobs import Failure, collect_all
from hcsac.collection.settings import CollectSettings

__all__ = ["NAMESPACE", "CollectSettings", "Failure", "Request", "collect", "collect_all", "read_collections"]
