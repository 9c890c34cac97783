"""A policy leaves its run: a bundle that acts without the data and without a simulator (`hcsac.load_policy`)."""

from hcsac.export.write import Exported, export_policy

__all__ = ["Exported", "export_policy"]
