#!/bin/sh
# Stands in for `python3 -m pip download`. Tests link to it, so that what it does is decided by the
# files beside the link: `output` is what it says before it fails, `*.whl` is what it downloads.
here=$(dirname "$0")
echo "$*" >>"$here/calls"
if [ -f "$here/output" ]; then
    cat "$here/output" >&2
    exit 1
fi
while [ $# -gt 1 ]; do
    [ "$1" = -d ] && dir=$2
    shift
done
echo "Saved a wheel"
cp "$here"/*.whl "$dir"/
