#!/usr/bin/env bash
# Take the pictures of docs/labelling.md: scripts/labelling_pictures.sh FOLDER OUT
# FOLDER is a labelling folder ('floodsat labels') whose chips have coordinates; it is edited as in
# the guide, so give a copy. Needs qgis, xvfb, openbox and imagemagick.
set -euo pipefail
project=$(realpath "$1/labelling.qgs") out=$(realpath -m "$2") here=$(dirname "$(realpath "$0")")
mkdir -p "$out"
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
export LABELLING_PICTURES=$out XDG_RUNTIME_DIR=$profile HOME=$profile
xvfb-run -a -s "-screen 0 1280x780x24" bash -c '
    openbox & manager=$!
    timeout 300 qgis --noversioncheck --nologo --profiles-path "$1/q" --code "$2" "$3" || true
    kill $manager' pictures "$profile" "$here/labelling_pictures.py" "$project"
for picture in "$out"/labelling-*.png; do
    convert "$picture" +dither -colors 160 -strip "PNG8:$picture"
done
