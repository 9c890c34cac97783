"""Remake the lock files: `python tools/lock.py` (needs uv). Run it after changing the dependencies in pyproject.toml.

requirements.lock       what hcsac needs to run, with all that the README shows, hashed, for every Python and platform
requirements-dev.lock   what its tests and checks need on top
requirements-cpu.lock   PyTorch's CPU build, for a pip that is set up to find it; install.sh tries it first
requirements-cuda.lock  what PyTorch's GPU build needs on top; its CPU build needs none of it
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
TORCH = "2.13.0"
# The CPU build of that release for Python 3.11 on Linux x86-64, which is published apart from the GPU builds.
TORCH_CPU_HASH = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
CUDA = re.compile(r"(nvidia-|cuda-|triton)")


def compile_lock(*extra: str, within: Iterable[str] = ()) -> dict[str, str]:
    """Requirement line -> its block of text, hashes included; `within` holds it to those versions."""
    command = ["uv", "pip", "compile", "--universal", "--generate-hashes", "--python-version", "3.11", "--quiet"]
    command += ["--no-header", "--no-annotate", *extra, "pyproject.toml", "-"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(line.rstrip("\\ ") for line in within))
        constraints.flush()
        command += ["--constraints", constraints.name]
        text = subprocess.run(
            command, cwd=ROOT, check=True, text=True, capture_output=True, input=f"torch=={TORCH}\nsetuptools\n"
        ).stdout
    blocks: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", text.strip()):
        blocks[block.splitlines()[0]] = block
    return blocks


def write(name: str, blocks: list[str]) -> None:
    """One lock file."""
    (ROOT / name).write_text("# Made by tools/lock.py; do not edit.\n" + "\n".join(blocks) + "\n")


def main() -> None:
    """Resolve for developing, then for running within it, so that both install side by side, and split."""
    everything = compile_lock("--extra", "dev")
    run = compile_lock("--extra", "export", "--extra", "report", "--extra", "video", within=everything)
    write("requirements.lock", [block for line, block in run.items() if not CUDA.match(line)])
    write("requirements-cpu.lock", [f"torch=={TORCH}+cpu \\\n    --hash={TORCH_CPU_HASH}"])
    write("requirements-cuda.lock", [block for line, block in run.items() if CUDA.match(line)])
    write("requirements-dev.lock", [block for line, block in everything.items() if line not in run])


if __name__ == "__main__":
    main()
