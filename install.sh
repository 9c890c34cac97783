#!/bin/sh
# Install hcsac from the lock files into .venv. `--dev` adds what the tests and checks need. PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}
stop() { echo "install.sh: $1" >&2; exit 2; }

locks="requirements.lock"
case "$*" in
    "") ;;
    --dev) locks="$locks requirements-dev.lock" ;;
    *) stop "unknown arguments '$*'; it takes none, or --dev" ;;
esac

# Nothing to do when the same locks are installed already, by this call or by one with --dev.
wanted=$( (pwd -P; cat requirements*.lock pyproject.toml) | cksum)
installed() { [ -x .venv/bin/python ] && [ -f "$1" ] && [ "$(cat "$1")" = "$wanted" ]; }
installed .venv/installed-dev && exit 0
[ "$locks" = "requirements.lock" ] && installed .venv/installed && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    stop "$python is missing or older than Python 3.11; name a newer one, as in PYTHON=python3.12 sh install.sh"
rm -f .venv/installed .venv/installed-dev
# The scripts in .venv name its folder: one that was moved, copied or half made is made anew.
case "$(.venv/bin/pip --version 2> /dev/null)" in
    *" $(pwd -P)/.venv/"*) ;;
    *) "$python" -m venv --clear .venv || stop "$python cannot make .venv; on Debian and Ubuntu, install python3-venv first" ;;
esac
echo "install.sh: installing into .venv; where PyTorch comes as its GPU build, this is several GB and takes minutes" >&2
# Wheels only: building one would fetch build tools that no lock names.
pip="env PIP_USER=0 .venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps"
# A pip that is set up to find PyTorch's CPU build takes that; by version alone it would prefer the registry's GPU build.
$pip --only-binary :all: --require-hashes -r requirements-cpu.lock > /dev/null 2>&1 || true
for lock in $locks; do
    $pip --only-binary :all: --require-hashes -r "$lock"
done
# The GPU build, which most machines get, loads CUDA libraries that the CPU build does without.
if ! .venv/bin/python -c 'import importlib.metadata as m, sys; sys.exit("+cpu" not in m.version("torch"))'; then
    $pip --only-binary :all: --require-hashes -r requirements-cuda.lock
fi
$pip --no-build-isolation --editable .
case "$locks" in
    *dev*) echo "$wanted" > .venv/installed-dev ;;
    *) echo "$wanted" > .venv/installed ;;
esac
