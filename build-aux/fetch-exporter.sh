#!/bin/sh
# fetch-exporter.sh: prints the directory of a monitoring agent that reads php-fpm's status page (agent360, from
# PyPI), or nothing if it cannot be fetched. Its version and checksum are fixed; it is unpacked, not installed.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

version=1.3.5
cache=${CACHE:-$(default_cache)}
place=$cache/download/agent360-$version
if [ ! -e "$place/agent360/plugins/phpfpm.py" ]; then
	mkdir -p "$cache/download"
	scratch=$(mktemp -d "$cache/download/fetching.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	python3 -m pip --version >/dev/null 2>&1 || need_packages python3-pip >&2
	(cd "$scratch" && python3 -m pip download -q --no-deps --no-binary :none: "agent360==$version" >&2 &&
		python3 -m zipfile -e "agent360-$version-"*.whl out >&2) || { say "agent360 can't be fetched: its test is skipped"; exit 0; }
	chmod -R go+rX "$scratch/out"
	[ -e "$place" ] || mv "$scratch/out" "$place"
fi
echo "$place"
