#!/bin/sh
# check-sources.sh: each Rust file opens by saying what it is (//!) and has at most 500 lines outside its tests; and only
# src/sys/single_threaded.rs starts threads, since its proof counts on that. The paths in src/ that ARCHITECTURE.md names exist.
set -eu
cd "$(dirname "$0")/.."
bad=0
for file in $(git ls-files -co --exclude-standard '*.rs'); do
	[ -f "$file" ] || continue
	case $(head -c 3 "$file") in
	'//!') ;;
	*)
		echo "$file: does not begin with //!" >&2
		bad=1
		;;
	esac
	case $file in
	tests/support/*) ;;
	tests/* | */tests.rs | */tests/*) continue ;;
	esac
	# Unit tests stand at the end of a file.
	lines=$(sed '/^#\[cfg(test)\]/,$d' "$file" | wc -l)
	if [ "$lines" -gt 500 ]; then
		echo "$file: $lines lines outside its tests, at most 500" >&2
		bad=1
	fi
	case $file in
	src/sys/single_threaded.rs) ;;
	src/*)
		if sed '/^#\[cfg(test)\]/,$d' "$file" | grep -nE 'thread::(spawn|scope|Builder)' >&2; then
			echo "$file: starts a thread without sys::single_threaded::spawn" >&2
			bad=1
		fi
		;;
	esac
done
# The files and folders that ARCHITECTURE.md names, in Markdown's backticks.
for path in $(tr '\140' '\n' <ARCHITECTURE.md | grep -x 'src/[a-z_/.]*' | sort -u); do
	if [ ! -e "$path" ]; then
		echo "ARCHITECTURE.md: there is no $path" >&2
		bad=1
	fi
done
exit $bad
