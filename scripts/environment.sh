#!/usr/bin/env bash
# Makes FloodSat's Python environments from the pinned files in requirements/.
#
#   scripts/environment.sh base|dev     .venv         Python 3.11
#   scripts/environment.sh flight       .venv-flight  Python 3.9
#   scripts/environment.sh find 3.9     prints the interpreter that would be used
#   scripts/environment.sh lock         writes requirements/*.txt anew (UPGRADE=1: newest versions)
#
# FLOODSAT_PYTHON and FLOODSAT_PYTHON39 name interpreters that are in no usual place.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 # the machine's certificates, as pip uses them
export UV_PYTHON_DOWNLOADS=never # an interpreter comes from the machine, never from a download
export PIP_REQUIRE_VIRTUALENV=0 PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

readonly OWN_UV=.venv-uv/bin/uv

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "floodsat: $*"
    exit 2
}

# --- interpreters ---------------------------------------------------------------------------

# prints the real path of interpreter $1 if it runs, is version $2 and is whole
working_python() {
    "$1" - "$2" 2>/dev/null <<'PYTHON'
import ctypes, ssl, sys
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
print(getattr(sys, "_base_executable", None) or sys.executable)
PYTHON
}

# A pyenv shim stands on PATH even where pyenv's settings make it refuse, so pyenv's own folder
# is looked through as well.
candidates() {
    local version=$1 pyenv=${PYENV_ROOT:-$HOME/.pyenv}
    type -aP "python$version" python3 python || true
    printf '%s\n' "$pyenv/versions/$version".*/bin/python \
        "/usr/local/bin/python$version" "/opt/python$version/bin/python$version" \
        "$HOME/.local/share/uv/python/cpython-$version".*/bin/python
}

find_python() {
    local version=$1 override=FLOODSAT_PYTHON candidate
    [[ $version == 3.9 ]] && override=FLOODSAT_PYTHON39
    if [[ -n ${!override:-} ]]; then
        working_python "${!override}" "$version" ||
            fail "$override is ${!override}, which does not run as Python $version; correct or unset it"
        return
    fi
    while IFS= read -r candidate; do
        working_python "$candidate" "$version" && return
    done < <(candidates "$version")
    case $version in
    3.9) fail "the flight environment needs Python 3.9, and none was found. Install one" \
        "(for instance: pyenv install 3.9) or name it with FLOODSAT_PYTHON39=/path/to/python3.9." \
        "To run everything else without it: FLOODSAT_NO_FLIGHT=1 make test" ;;
    *) fail "Python $version was not found. Install it (Debian 12, Ubuntu: apt-get install" \
        "python$version python3-venv) or name it with FLOODSAT_PYTHON=/path/to/python$version" ;;
    esac
}

# --- uv -------------------------------------------------------------------------------------

# prints a uv; python $1 brings one where there is none
find_uv() {
    local found
    if "$OWN_UV" --version >/dev/null 2>&1; then
        printf '%s\n' "$OWN_UV"
    elif found=$(type -P uv) && "$found" pip sync --help 2>/dev/null | grep -q -e --require-hashes; then
        printf '%s\n' "$found"
    else
        bring_uv "$1"
        printf '%s\n' "$OWN_UV"
    fi
}

# Debian's Python has pip or venv only where python3-pip or python3-venv is installed; either will do.
bring_uv() {
    local python=$1 folder=${OWN_UV%/bin/uv}
    say "Installing uv in $folder"
    rm -rf "$folder"
    if "$python" -m venv "$folder" >/dev/null 2>&1; then
        "$folder/bin/python" -m pip install --quiet --require-hashes -r requirements/uv.txt >&2 ||
            fail "uv could not be installed (see above); install uv yourself, or check the network"
        return
    fi
    rm -rf "$folder"
    "$python" -m pip --version >/dev/null 2>&1 ||
        fail "$python has neither venv nor pip, and there is no uv." \
            "Install one of them (Debian, Ubuntu: apt-get install python3-venv)"
    "$python" -m pip install --quiet --require-hashes --target "$folder" -r requirements/uv.txt >&2 ||
        fail "uv could not be installed (see above); install uv yourself, or check the network"
}

# --- environments ---------------------------------------------------------------------------

# true if environment $1 runs and was made here: its scripts and paths are absolute, so a copied
# or moved tree would quietly run the old one's code
made_here() {
    [[ $(cat "$1/.made-in" 2>/dev/null) == "$PWD" ]] && "$1/bin/python" -c '' 2>/dev/null
}

make_environment() {
    local name=$1 folder=$2 version=$3 uv python
    local -a quiet=(--quiet)
    [[ -t 2 ]] && quiet=()
    python=$(find_python "$version")
    uv=$(find_uv "$python")
    say "Installing the $name environment in $folder"
    if ! made_here "$folder"; then
        rm -rf "$folder"
        "$uv" venv --quiet --python "$python" "$folder"
    fi
    rm -f "$folder"/.stamp-*
    "$uv" pip sync "${quiet[@]}" --python "$folder/bin/python" --require-hashes "requirements/$name.txt" ||
        fail "the packages of requirements/$name.txt could not be installed (see above)"
    "$uv" pip install --quiet --python "$folder/bin/python" --no-deps --no-build-isolation --editable . ||
        fail "FloodSat itself could not be installed in $folder (see above)"
    printf '%s\n' "$PWD" >"$folder/.made-in"
}

# Imports modules $2 in environment $1; a missing system library is named with its package.
check_imports() {
    local said
    said=$("$1/bin/python" -c "import $2" 2>&1) && return
    case $said in
    *libexpat.so.1*) fail "rasterio needs the system library libexpat (Debian, Ubuntu: apt-get install libexpat1)" ;;
    *libstdc++.so.6*) fail "the system library libstdc++ is missing (Debian, Ubuntu: apt-get install libstdc++6)" ;;
    *) fail "$1 does not work: ${said##*$'\n'}" ;;
    esac
}

lock() {
    local python uv name version
    local -a options=(--quiet --generate-hashes --no-header --no-emit-index-url --python-platform linux)
    [[ -n ${UPGRADE:-} ]] && options+=(--upgrade)
    python=$(find_python 3.11)
    uv=$(find_uv "$python")
    for name in uv base dev flight; do # base before dev: it constrains dev
        version=3.11
        # cryptography excludes the first two releases of 3.9
        [[ $name == flight ]] && version=3.9.2
        "$uv" pip compile "${options[@]}" --python-version "$version" \
            --output-file "requirements/$name.txt" "requirements/$name.in"
    done
}

case ${1:-} in
base | dev)
    make_environment "$1" .venv 3.11
    check_imports .venv "rasterio, ai_edge_litert.interpreter"
    touch ".venv/.stamp-$1"
    ;;
flight)
    make_environment flight .venv-flight 3.9
    check_imports .venv-flight "rasterio, tflite_runtime.interpreter, openvino.inference_engine"
    touch .venv-flight/.stamp-flight
    ;;
find) find_python "${2:?a version, 3.9 or 3.11}" ;;
made-here) made_here "${2:?a folder}" ;;
lock) lock ;;
*) fail "usage: scripts/environment.sh base | dev | flight | find VERSION | made-here FOLDER | lock" ;;
esac
