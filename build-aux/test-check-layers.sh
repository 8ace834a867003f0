#!/bin/sh
# test-check-layers.sh: check-layers.sh accepts a good tree, and reports the error in each of several bad ones.
set -eu
check=$(cd "$(dirname "$0")" && pwd)/check-layers.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# A good tree: top over low, with a test that may import anything.
good() {
	rm -rf "$scratch/tree"
	mkdir -p "$scratch/tree/src/top"
	cd "$scratch/tree"
	# shellcheck disable=SC2016  # the backticks are Markdown
	printf '## Layers\n\n| 1 | `top` | | upper |\n| 2 | `low`, `side` | | lower |\n' >ARCHITECTURE.md
	printf 'pub mod low;\npub mod side;\npub mod top;\n' >src/lib.rs
	printf '#![forbid(unsafe_code)]\nmod a;\nmod b;\npub use a::A;\n' >src/top/mod.rs
	printf 'use crate::low::{Low, other::Other};\npub struct A(Low);\n' >src/top/a.rs
	printf 'use super::A;\npub struct B(A);\n' >src/top/b.rs
	printf '#![forbid(unsafe_code)]\npub struct Low;\n#[cfg(test)]\nmod tests {\n    use crate::top::A;\n}\n' >src/low.rs
	printf '#![forbid(unsafe_code)]\npub struct Side;\n' >src/side.rs
}

# refused TEXT: the tree is refused, and this is among the reasons.
refused() {
	if "$check" "$scratch/tree" >"$scratch/said" 2>&1; then
		echo "accepted, but expected: $1" >&2
		exit 1
	fi
	grep -qF "$1" "$scratch/said" || { cat "$scratch/said" >&2; echo "expected: $1" >&2; exit 1; }
}

good
"$check" "$scratch/tree"

printf 'fn up() -> crate::top::A { todo!() }\n' >>src/side.rs
refused 'src/side.rs: imports top::A, which is not in a layer below side'

good
printf 'use crate::{\n    low::Low,\n};\n' >>src/side.rs
refused 'src/side.rs: imports low::Low, which is not in a layer below side'

good
printf 'use super::b::B;\n' >>src/top/a.rs
printf 'use super::a::A as Again;\n' >>src/top/b.rs
refused 'these files import each other in a circle:'

good
sed -i '/forbid/d' src/top/mod.rs
refused 'src/top/mod.rs: lacks #![forbid(unsafe_code)]'

good
printf 'use ext_php_rs::ffi;\n' >>src/side.rs
refused "only src/php names PHP's crate"

good
mkdir src/more
printf '#![forbid(unsafe_code)]\n' >src/more/mod.rs
refused 'ARCHITECTURE.md has no layer for more'
