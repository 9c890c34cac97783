"""`hcsac export`: write the policy of a run as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hcsac.policy import Exported


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Directory of the bundle (default: RUN/policy).")
@click.option("--seed", type=int, help="Export only this seed (default: all of them, and the first as ONNX).")
def export(run: Path, output: Path | None, seed: int | None) -> None:
    """Write the policy of RUN's last checkpoint as a bundle that needs neither the data nor a simulator.

    The bundle contains policy.safetensors (for hcsac.load_policy), policy.onnx (for ONNX runtimes: one seed, with
    observation scaling and task embedding), policy.json (tasks, data, settings, returns) and README.md, a model card.
    If onnxruntime is installed, the ONNX file is compared with PyTorch before anything is written.

    An unchanged bundle of the same RUN is replaced; nothing else is overwritten.
    """
    from hcsac.policy import export_policy

    exported = export_policy(run, output, seed)
    state = exported.state
    click.echo(f"{state.algorithm} after {state.update} updates: tasks {', '.join(state.tasks)}; "
               f"seeds {', '.join(map(str, state.seeds))}; seed {exported.onnx_seed} as ONNX")  # fmt: skip
    echo_written(exported)


def echo_written(exported: Exported) -> None:
    """Print how far the ONNX file agrees, and where the bundle is."""
    if exported.difference is None:
        click.echo("policy.onnx was not compared with PyTorch: onnxruntime is not installed (pip install onnxruntime)")
    else:
        click.echo(f"policy.onnx agrees with PyTorch: actions differ by at most {exported.difference:.1e}")
    click.echo(f"written: {exported.path}")
