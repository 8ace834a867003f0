#!/bin/sh
# compare-forms.sh X.Y [COUNT [SEED]]: runs PHP's readers of forms and ours on COUNT made-up bodies of each kind, in one process, and
# compares everything that a script can see (src/php/differential/). Needs build/php-X.Y.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

version=${1:?version of PHP}
prefix=$root/build/php-$version
[ -e "$prefix/bin/php-config" ] || die "no $prefix: make PHP=$version"
target=$root/build/target-$version
compared=$root/build/compare-$version
cd "$root"
env PHP="$prefix/bin/php" PHP_CONFIG="$prefix/bin/php-config" CARGO_TARGET_DIR="$target" \
	cargo build --profile quick --lib -p cgi-fpm --locked --features differential
mkdir -p "$compared/lib"
cp -a "$prefix/bin" "$prefix/sbin" "$prefix/libexec" "$compared/"
put_file "$target/quick/libcgi_fpm.so" "$compared/lib/cgi-fpm.so"
CGI_FPM_PREFIX=$compared CGI_FPM_COMPARE=${2:-1000000} CGI_FPM_SEED=${3:-1} CARGO_TARGET_DIR=$target \
	cargo test --no-default-features --locked --test sapi forms::compared -- --nocapture
