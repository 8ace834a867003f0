#!/bin/sh
# check-scripts.sh: shellcheck over every shell script in the tree: by its first line, or by its name.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"
need_packages shellcheck
cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
git ls-files -co --exclude-standard >"$list"
set --
while IFS= read -r file; do
	[ -f "$file" ] || continue
	case $file in
	*.sh)
		set -- "$@" "$file"
		continue
		;;
	esac
	first=
	IFS= read -r first <"$file" || :
	case $first in
	'#!'*[/\ ]sh | '#!'*[/\ ]bash | '#!'*[/\ ]dash | '#!'*[/\ ]sh\ * | '#!'*[/\ ]bash\ *) set -- "$@" "$file" ;;
	esac
done <"$list"
[ $# -gt 10 ] || die "found only $# shell scripts"
shellcheck --external-sources "$@"
echo "$# shell scripts"
