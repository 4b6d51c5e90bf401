#!/usr/bin/env bash
# Installs the wheel from the registry into fresh environments, and runs it outside the checkout.
#
#   scripts/wheels.sh [VERSION...]    by default 3.9 3.11 3.12 3.13, those that are on this machine
#
# Python 3.9 gets the extra onboard, later ones ground and training. LOWEST=1 installs the lowest
# versions that pyproject.toml allows.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_PYTHON_DOWNLOADS=never TF_CPP_MIN_LOG_LEVEL=3

project=$PWD
uv=.venv-uv/bin/uv
[[ -x $uv ]] || uv=$(type -P uv) || { echo "floodsat: no uv; 'make base' brings one" >&2; exit 2; }
uv=$(realpath "$uv")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of a copy: what lies about in the tree is no part of the wheel.
mkdir "$work/source"
git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$work/source"
(cd "$work/source" && "$project/.venv/bin/python" -c \
    'import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])' "$work" >/dev/null)
wheel=$(echo "$work"/floodsat-*.whl)

requirements() { # of the extras $1, flat: only direct requirements are taken at their lowest
    "$project/.venv/bin/python" - "$1" <<'PYTHON'
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
def flat(extra):
    for one in project["optional-dependencies"][extra]:
        yield from flat(one[9:-1]) if one.startswith("floodsat[") else (one,)
print(*dict.fromkeys(project["dependencies"] + [r for e in sys.argv[1].split(",") for r in flat(e)]), sep="\n")
PYTHON
}

try() { # VERSION
    local version=$1 extras=ground,training python bin samples
    local -a lowest=()
    [[ $version == 3.9 ]] && extras=onboard
    [[ -n ${LOWEST:-} ]] && lowest=(--resolution lowest-direct --only-binary :all:)
    python=$("$uv" python find "$version" 2>/dev/null) ||
        python=$(ls "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python 2>/dev/null | tail -n 1)
    if [[ -z $python ]]; then
        echo "NOT RUN: Python $version is not on this machine"
        return
    fi
    echo "== Python $version, floodsat[$extras]"
    "$uv" venv --quiet --python "$python" "$work/$version"
    requirements "$extras" >"$work/$version.txt"
    "$uv" pip install --quiet --python "$work/$version/bin/python" "${lowest[@]}" -r "$work/$version.txt"
    "$uv" pip install --quiet --python "$work/$version/bin/python" --no-deps "$wheel"
    bin=$work/$version/bin
    mkdir "$work/run-$version"
    cd "$work/run-$version"
    "$bin/floodsat" --version
    samples=$("$bin/floodsat" --version | sed -n 's/^samples //p')
    "$bin/floodsat" segment "$samples/bundle" "$samples/frame.tif" --out maps
    "$bin/floodsat" flash "$samples/bundle" --slots slots
    "$bin/floodsat" fly "$samples/frame.tif" --slots slots --outbox outbox.sqlite
    "$bin/floodsat" downlink outbox.sqlite --out pass.bin --budget 100000
    if [[ $extras == *training* ]]; then
        "$bin/floodsat" receive pass.bin --out floods
        "$bin/floodsat" demo --out demo
        "$bin/floodsat" train "$samples/chips" --out run --config "$samples/scenarios/early/training.toml"
        "$bin/floodsat" keygen keys
        "$bin/floodsat" export run --out bundle --key keys/floodsat.key --target tflite --target reference
        "$bin/floodsat" evaluate bundle "$samples/chips" --trust keys/floodsat.pub --json figures.json
    fi
    cd "$project"
}

for version in ${*:-3.9 3.11 3.12 3.13}; do
    try "$version"
done
