#!/bin/sh
# fuzz.sh SECONDS [TARGET…]: runs each fuzz target (all by default) for that many seconds, one on each core.
#
# The initial inputs are in fuzz/corpus/TARGET. A run stores new ones in build/fuzz/TARGET/found, for the next run. An
# input that fails is in build/fuzz/TARGET, and so is the log. The last line is the sum of all targets.
#
# Neither cargo-fuzz nor a nightly compiler is needed: stable rustc passes LLVM's coverage instrumentation to libFuzzer.
# cargo-fuzz works on the same targets, and adds the address sanitizer.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

# one TARGET SECONDS PROGRAM: a run of libFuzzer. xargs calls this below, once for each target.
one() {
	place=$root/build/fuzz/$1
	mkdir -p "$place/found" "$root/fuzz/corpus/$1"
	status=0
	# A slow input is one that takes more than 10 seconds.
	"$3" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$place/" \
		"$place/found" "$root/fuzz/corpus/$1" >"$place/log" 2>&1 </dev/null || status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$place/log")
	features=$(sed -n 's/.* ft: \([0-9]*\) .*/\1/p' "$place/log" | tail -n 1)
	if [ "$status" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo "$1: $runs executions, $features features"
	else
		echo "$1: FAILED with status $status, see $place/log"
		grep -E '^(thread .*panicked|==[0-9]*== ERROR|Test unit written)' -A 2 "$place/log" | head -n 20 || :
	fi
}

if [ "${1:-}" = --one ]; then
	shift
	one "$@"
	exit 0
fi

seconds=${1:?seconds}
shift
targets=$(sed -n '/^\[\[bin\]\]/,/^$/s/^name = "\(.*\)"/\1/p' "$root/fuzz/Cargo.toml")
for target in "$@"; do
	echo "$targets" | grep -qx "$target" || die "no fuzz target is called $target; there are: $(echo "$targets" | tr '\n' ' ')"
done
# shellcheck disable=SC2086  # a list of names
[ $# -gt 0 ] || set -- $targets

command -v c++ >/dev/null || need_packages build-essential
host=$(rustc -vV | sed -n 's/^host: //p')
target_dir=$root/build/target-fuzz
# The flags that cargo-fuzz passes, without the sanitizer. --target: build scripts are not instrumented.
coverage='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
say "building the fuzz targets"
RUSTFLAGS="$coverage -Cdebug-assertions -Coverflow-checks" CARGO_TARGET_DIR="$target_dir" \
	cargo build --release --locked --manifest-path "$root/fuzz/Cargo.toml" --target "$host"

say "$# targets, $seconds seconds each"
mkdir -p "$root/build/fuzz"
results=$root/build/fuzz/results
printf '%s\n' "$@" | xargs -P "$(nproc)" -I '{}' "$0" --one '{}' "$seconds" "$target_dir/$host/release/{}" | tee "$results"
failed=$(grep -c FAILED "$results" || :)
passed=$(grep -c ' executions, ' "$results" || :)
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ] && [ "$passed" = $# ]
