"""What hcsac is made of: `python tools/supply_chain.py [--sbom FILE]` checks the lock files, lists and audits packages.

It exits with 1 where a locked package has no hash or a known vulnerability. The list is a CycloneDX SBOM, by
cyclonedx-py (pip install cyclonedx-bom); the audit is pip-audit's (pip install pip-audit), which asks a server. What is
not installed or not reached is skipped, and said.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def without_hash(text: str) -> list[str]:
    """The packages in a lock file that are not fixed by version and hash."""
    blocks = re.split(r"\n(?=[^\s#])", re.sub(r"(?m)^\s*#.*\n?", "", text).strip())
    return [block.split()[0] for block in blocks if "==" not in block.split()[0] or "--hash=sha256:" not in block]


def write_sbom(lock: Path, output: Path) -> str:
    """Write the SBOM of a lock file; what came of it."""
    if (command := _tool("cyclonedx-py")) is None:
        return "SBOM: skipped, cyclonedx-py is not installed (pip install cyclonedx-bom)"
    subprocess.run([command, "requirements", str(lock), "--output-reproducible", "-o", str(output)], check=True)
    return f"SBOM: {len(json.loads(output.read_text())['components'])} packages in {output}"


def audit(lock: Path) -> tuple[str, bool]:
    """Known vulnerabilities of the packages of a lock file: what came of it, and whether there are none."""
    if (command := _tool("pip-audit")) is None:
        return "audit: skipped, pip-audit is not installed (pip install pip-audit)", True
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run([command, "-r", str(lock), *options], check=False, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return f"audit: skipped, pip-audit failed ({(done.stderr.strip().splitlines() or ['no reason'])[-1]})", True
    unknown = sum("skip_reason" in one for one in found)
    if unknown == len(found):
        return "audit: skipped, the server of vulnerabilities was not reached", True
    bad = [f"{one['name']} {one['version']}: {v['id']}" for one in found for v in one.get("vulns", ())]
    told = "\n  ".join([f"audit: {len(found) - unknown} packages, {unknown} unknown, {len(bad)} vulnerabilities", *bad])
    return told, not bad


def _tool(name: str) -> str | None:
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def main() -> int:
    """Do all three; the exit status."""
    parser = argparse.ArgumentParser(description="Check, list and audit what hcsac is made of.")
    parser.add_argument("--sbom", type=Path, default=ROOT / "build" / "sbom.json", help="where to write the SBOM")
    options = parser.parse_args()
    options.sbom.parent.mkdir(parents=True, exist_ok=True)
    loose = [f"{lock.name}: {name}" for lock in LOCKS for name in without_hash(lock.read_text())]
    print(f"locks: {len(LOCKS)} files, " + (f"without version and hash: {', '.join(loose)}" if loose else "all hashed"))
    print(write_sbom(ROOT / "requirements.lock", options.sbom))
    told, sound = audit(ROOT / "requirements.lock")
    print(told)
    return int(bool(loose) or not sound)


if __name__ == "__main__":
    sys.exit(main())
