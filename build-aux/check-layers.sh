#!/bin/sh
# check-layers.sh [DIR]: holds the source against the table of layers in ARCHITECTURE.md.
#
# - Each file of src/ is in a folder (or is a file) that the table names.
# - An import names the own folder or one in a row below. Folders of one row don't import each other.
# - No files of a folder import each other in a circle. A mod.rs may name its own files, and they may name it.
# - A folder has `#![forbid(unsafe_code)]` unless the table says `unsafe`, and only src/php names PHP's crate.
#
# Unit tests may import anything: what stands after `#[cfg(test)]`, and files named tests.
set -eu
cd "${1:-$(dirname "$0")/..}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0

# FOLDER ROW UNSAFE, from rows such as `| 3 | supervisor | … | |`.
awk -F'|' '
	/^## / { inside = ($0 == "## Layers") }
	inside && $2 ~ /[0-9]/ {
		folders = $3
		gsub(/[`,]/, " ", folders)
		count = split(folders, names, " ")
		for (i = 1; i <= count; i++) print names[i], $2 + 0, ($4 ~ /unsafe/ ? "unsafe" : "safe")
	}
' ARCHITECTURE.md >"$scratch/table"
[ -s "$scratch/table" ] || { echo "ARCHITECTURE.md: no table of layers below the heading 'Layers'" >&2; exit 1; }

find src -name '*.rs' ! -path '*tests*' | sort >"$scratch/files"

# FILE MODULE-PATH of each import and of each path that begins with crate:: or super::.
while read -r file; do
	awk -v file="$file" '
		function expand(prefix, text,    depth, from, i, c) {
			if (!(i = index(text, "{"))) { print file, prefix text; return }
			prefix = prefix substr(text, 1, i - 1)
			text = substr(text, i + 1)
			sub(/\}[^}]*$/, "", text)
			depth = 0
			from = 1
			for (i = 1; i <= length(text); i++) {
				c = substr(text, i, 1)
				if (c == "{") depth++
				else if (c == "}") depth--
				else if (c == "," && depth == 0) { expand(prefix, substr(text, from, i - from)); from = i + 1 }
			}
			if (from <= length(text)) expand(prefix, substr(text, from))
		}
		/^#\[cfg\(test\)\]$/ { skip = 1; next }
		# A module of tests stands at the end; a single declaration or import is over with its line.
		skip && /^(pub |pub\([a-z]*\) )?(mod [a-z_]+|use .*);/ { skip = 0; next }
		skip && /^mod [a-z_]+ \{/ { exit }
		skip && /^\}/ { skip = 0; next }
		skip { next }
		{ sub(/\/\/.*/, "") }
		statement == "" && /^[ \t]*(pub |pub\([a-z:_ ]*\) )?use / { statement = " " }
		statement != "" {
			statement = statement $0
			if (/;/) {
				gsub(/[ \t]/, "", statement)
				sub(/^(pub(\([a-z:]*\))?)?use/, "", statement)
				sub(/;.*/, "", statement)
				expand("", statement)
				statement = ""
			}
			next
		}
		{
			while (match($0, /(crate|super)(::[A-Za-z_0-9]+)+/)) {
				print file, substr($0, RSTART, RLENGTH)
				$0 = substr($0, RSTART + RLENGTH)
			}
		}
	' "$file"
done <"$scratch/files" >"$scratch/imports"

awk -v table="$scratch/table" -v files="$scratch/files" -v arrows="$scratch/arrows" -v edges="$scratch/edges" '
	BEGIN {
		while ((getline line <table) > 0) { split(line, f, " "); row[f[1]] = f[2] }
		while ((getline file <files) > 0) {
			module = file
			sub(/^src\//, "", module); sub(/\.rs$/, "", module); sub(/\/mod$/, "", module)
			gsub(/\//, "::", module)
			if (module == "lib") module = ""
			path[module] = file
			of[file] = module
			if (file != "src/lib.rs" && !(room(file) in row)) { print file ": ARCHITECTURE.md has no layer for " room(file); bad = 1 }
		}
	}
	# The longest folder of the table that a file is in.
	function room(file,    name) {
		name = file
		sub(/^src\//, "", name); sub(/\.rs$/, "", name)
		while (!(name in row) && name ~ /\//) sub(/\/[^\/]*$/, "", name)
		return name
	}
	function shown(wanted) { sub(/^crate::/, "", wanted); return wanted }
	function parent(module) { return sub(/::[^:]*$/, "", module) ? module : "" }
	{
		file = $1
		target = wanted = $2
		module = of[file]
		if (target ~ /^crate::/) sub(/^crate::/, "", target)
		else if (target ~ /^(super|self)(::|$)/) {
			base = module
			while (sub(/^super(::|$)/, "", target)) base = parent(base)
			sub(/^self(::|$)/, "", target)
			target = base == "" ? target : base "::" target
		} else {
			first = target
			sub(/::.*/, "", first)
			if (!((module "::" first) in path)) next
			target = module "::" target
		}
		while (target != "" && !(target in path)) target = parent(target)
		if (target == "" || path[target] == file || file == "src/lib.rs") next
		from = room(file)
		to = room(path[target])
		if (from != to) {
			seen[from " " to] = 1
			if (row[to] <= row[from]) { print file ": imports " shown(wanted) ", which is not in a layer below " from; bad = 1 }
		}
		# What a mod.rs names of its own files says only what the folder offers.
		if (index(target, module "::") != 1) print path[target], file >edges
	}
	END {
		for (pair in seen) print pair >arrows
		exit bad
	}
' "$scratch/imports" >&2 || bad=1

# Names of other crates in the edges file are none: only files are there. tsort names the files of each circle.
if [ -s "$scratch/edges" ] && ! tsort "$scratch/edges" >/dev/null 2>"$scratch/circles"; then
	sed 's/^tsort: //; s/^.*input contains a loop:/these files import each other in a circle:/' "$scratch/circles" >&2
	bad=1
fi

while read -r folder _ mark; do
	top=src/$folder.rs
	[ -f "$top" ] || top=src/$folder/mod.rs
	[ -f "$top" ] || { echo "ARCHITECTURE.md: there is no src/$folder" >&2; bad=1; continue; }
	if [ "$mark" = safe ] && ! grep -q '^#!\[forbid(unsafe_code)\]' "$top"; then
		echo "$top: lacks #![forbid(unsafe_code)]" >&2
		bad=1
	fi
	case $folder in
	php) ;;
	*) if grep -rn --include='*.rs' 'ext_php_rs' "${top%/mod.rs}" >&2; then echo "src/$folder: only src/php names PHP's crate" >&2; bad=1; fi ;;
	esac
done <"$scratch/table"

[ "$bad" = 0 ] || exit 1
echo "$(wc -l <"$scratch/table") folders, $(wc -l <"$scratch/arrows") arrows between them, 0 upward, 0 circles"
