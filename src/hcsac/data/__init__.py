"""D, the logged data: where it comes from, how it is checked, what a transition is. No network is known here."""

from hcsac.data.dataset import Dataset
from hcsac.data.episode import ALIGNMENTS, Episode
from hcsac.data.formats import dataset_format
from hcsac.data.store import load

__all__ = ["ALIGNMENTS", "Dataset", "Episode", "dataset_format", "load"]
