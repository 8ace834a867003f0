#!/bin/sh
# bench.sh X.Y [options]: `make bench`, compares with the php-fpm of the same build (see bench/). The figures of all rounds go to
# build/bench-X.Y.json. Programs that are missing are named; what needs them is skipped.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
shift
[ -d "$root/bench" ] || die "no bench/ in this checkout"
scratch=$(mktemp -d /tmp/cgi-fpm-bench.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
CGI_FPM_PREFIX=$(public_prefix "$root/build/php-$php" "$scratch")
export CGI_FPM_PREFIX
cd "$root"
CARGO_TARGET_DIR="$root/build/target-$php" cargo run --release --locked -p bench -- --json "$root/build/bench-$php.json" "$@"
