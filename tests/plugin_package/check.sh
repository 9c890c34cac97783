#!/bin/sh
# Install hcsac and the package of this folder into fresh environments, and check there what the package adds.
#
# PYTHON is an interpreter in whose environment all third-party packages are installed (default: .venv/bin/python). The
# environments below build/plugins see these packages, too, so that nothing is downloaded: `with` has hcsac and the
# package, `without` has hcsac alone. Arguments are passed on to pytest.
set -eu
cd "$(dirname "$0")/../.."
python=$(realpath -s "${PYTHON:-.venv/bin/python}")
root=build/plugins
unset PYTHONPATH
rm -rf "$root" build/lib build/bdist.*  # setuptools would pack what an earlier build left
mkdir -p "$root"
cp -r tests/plugin_package "$root/source"

pip="$python -m pip --disable-pip-version-check --quiet"
$pip wheel --no-deps --no-build-isolation --no-index --wheel-dir "$root" . "./$root/source"
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
for environment in with without; do
    "$python" -m venv --without-pip "$root/$environment"
    # Packages of this folder are seen, without its own .pth files: hcsac is none of them where it is installed editable.
    echo "$packages" > "$("$root/$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/seen.pth"
    $pip --python "$root/$environment/bin/python" install --no-deps --no-index --ignore-installed "$root"/hcsac-*.whl
done
$pip --python "$root/with/bin/python" install --no-deps --no-index "$root"/hcsac_example_plugin-*.whl
exec "$root/with/bin/python" -m pytest -q --import-mode=importlib --noconftest -c "$root/source/pyproject.toml" \
    -p no:cacheprovider -p no:logging --disable-warnings "$@" "$root/source/check.py"
