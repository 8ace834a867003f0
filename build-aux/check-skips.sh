#!/bin/sh
# check-skips.sh LIST SKIPS [--of RAN] KEY=VALUE…: compares the tests that were skipped with those that may be.
#
#   LIST    lines `PATTERN [CONDITION…]  # reason`. In PATTERN, * stands for any text. A condition is KEY=VALUE or KEY!=VALUE,
#           compared with those given here; all of them must hold. `sometimes`: the test may also run.
#   SKIPS   lines `TEST<tab>what the test said`
#   RAN     the names of all tests of this run, for one that is not complete: an entry of LIST for none of these is left out
#
# Prints a line for each test: `skipped TEST: …`; `SKIPPED, but not listed: …`; `RAN, but is listed as skipped: …`.
# Last line: how many were skipped as listed, and how many lines are wrong.
set -eu
list=$1 skips=$2
shift 2
ran=
if [ "${1:-}" = --of ]; then
	ran=$2
	shift 2
fi
awk -F '\t' -v given="$*" -v ran="$ran" -v skips="$skips" '
	function matches(name, pattern) {
		gsub(/\./, "\\.", pattern)
		gsub(/\*/, ".*", pattern)
		return name ~ ("^" pattern "$")
	}
	function holds(condition,  parts) {
		if (split(condition, parts, "!=") == 2) return !((parts[1] "=" parts[2]) in true)
		return condition in true
	}
	BEGIN {
		count = split(given, words, " ")
		for (i = 1; i <= count; i++) true[words[i]]
		if (ran != "") while ((getline line <ran) > 0) names[line]
	}
	/^[ \t]*(#|$)/ { next }
	{
		reason = $0
		if (!sub(/^[^#]*#[ \t]*/, "", reason)) reason = ""
		sub(/[ \t]*#.*/, "")
		count = split($0, words, " ")
		often = "always"
		for (i = 2; i <= count; i++) {
			if (words[i] == "sometimes") often = "sometimes"
			else if (!holds(words[i])) next
		}
		entries++
		pattern[entries] = words[1]; why[entries] = reason; when[entries] = often
	}
	END {
		# A test that left out several things is one test.
		while ((getline line <skips) > 0) {
			split(line, parts, "\t")
			said[parts[1]] = parts[2]
		}
		sorter = "LC_ALL=C sort"
		for (test in said) {
			found = 0
			for (i = 1; i <= entries && !found; i++) if (matches(test, pattern[i])) found = i
			if (found && why[found] != "") { listed++; print "skipped " test ": " why[found] | sorter }
			else { wrong++; print "SKIPPED, but not listed: " test ": " said[test] | sorter }
			for (i = 1; i <= entries; i++) if (matches(test, pattern[i])) used[i]
		}
		for (i = 1; i <= entries; i++) {
			if (i in used || when[i] == "sometimes") continue
			concerned = ran == ""
			for (name in names) if (matches(name, pattern[i])) concerned = 1
			if (concerned) { wrong++; print "RAN, but is listed as skipped: " pattern[i] | sorter }
		}
		close(sorter)
		print listed + 0, wrong + 0
	}' "$list"
