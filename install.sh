#!/bin/sh
# Install hcsac from the lock files into .venv. `--dev` adds what the tests and checks need. PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "install.sh: $python is older than 3.11; name a newer one, as in PYTHON=python3.12 sh install.sh" >&2
    exit 2
}
locks="requirements.lock"
[ "${1:-}" = "--dev" ] && locks="$locks requirements-dev.lock"

# Nothing to do when the same locks are installed already.
stamp=.venv/installed
wanted=$(cat $locks requirements-cuda.lock pyproject.toml | cksum)
[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && exit 0

[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=".venv/bin/python -m pip --disable-pip-version-check"
for lock in $locks; do
    $pip install --quiet --no-deps --require-hashes -r "$lock"
done
# PyTorch's GPU build, which most machines get, loads CUDA libraries that its CPU build does without.
if ! .venv/bin/python -c 'import importlib.metadata as m, sys; sys.exit("+cpu" not in m.version("torch"))'; then
    $pip install --quiet --no-deps --require-hashes -r requirements-cuda.lock
fi
$pip install --quiet --no-deps --no-build-isolation --editable .
echo "$wanted" > "$stamp"
