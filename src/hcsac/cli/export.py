"""`hcsac export`: a policy leaves its run."""

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="The bundle's directory (default: RUN/policy).")
@click.option("--seed", type=int, help="Export this seed alone (default: all of them, and the first as ONNX).")
def export(run: Path, output: Path | None, seed: int | None) -> None:
    """Write the last policy of RUN as a bundle that acts without the data and without a simulator.

    The bundle holds policy.safetensors (for hcsac.load_policy), policy.onnx (for ONNX runtimes: one seed, observation
    scaling and task embedding inside), policy.json (tasks, data, settings, returns) and README.md, a model card. Where
    onnxruntime is installed, the ONNX file is compared with PyTorch before anything is written.

    An untouched bundle of the same RUN is replaced; nothing else is ever overwritten.
    """
    from hcsac.policy import export_policy

    made = export_policy(run, output, seed)
    state = made.state
    click.echo(f"{state.agent} after {state.update} updates: tasks {', '.join(state.tasks)}; "
               f"seeds {', '.join(map(str, state.seeds))}, of which {made.onnx_seed} as ONNX")  # fmt: skip
    if made.difference is None:
        click.echo("policy.onnx was not compared with PyTorch: onnxruntime is not installed (pip install onnxruntime)")
    else:
        click.echo(f"policy.onnx agrees with PyTorch: actions differ by at most {made.difference:.1e}")
    click.echo(f"written: {made.path}")
