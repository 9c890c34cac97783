"""Dataset formats, one file each, and the one way to open a dataset of any of them."""

from hcsac.data.formats import d4rl, lerobot, minari, npz, ogbench, tables  # noqa: F401  (they register themselves)
from hcsac.data.formats.base import FORMATS, DatasetFormat, dataset_format
from hcsac.data.formats.export import export
from hcsac.data.formats.opened import OpenedDataset, open_data

__all__ = ["FORMATS", "DatasetFormat", "OpenedDataset", "dataset_format", "export", "open_data"]
