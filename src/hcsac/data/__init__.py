"""D, the logged data: where it comes from, how it is checked, what a transition is. Knows no network."""

from hcsac.data.align import ALIGNMENTS, Episode
from hcsac.data.dataset import Dataset
from hcsac.data.minari_store import load

__all__ = ["ALIGNMENTS", "Dataset", "Episode", "load"]
