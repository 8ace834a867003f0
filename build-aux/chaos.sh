#!/bin/sh
# chaos.sh X.Y SECONDS [SEED]: `make chaos` (tests/load/chaos/). Needs root, since the pools have users of their own.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
[ "$(id -u)" = 0 ] || die "chaos needs root"
scratch=$(mktemp -d /tmp/cgi-fpm-make.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$scratch"
CGI_FPM_PREFIX=$(public_prefix "$root/build/php-$php" "$scratch")
CGI_FPM_CHAOS=$2
export CGI_FPM_PREFIX CGI_FPM_CHAOS
[ -z "${3:-}" ] || export CGI_FPM_SEED="$3"
cd "$root"
CARGO_TARGET_DIR="$root/build/target-$php" cargo test --locked --no-default-features --test load chaos:: -- --nocapture
