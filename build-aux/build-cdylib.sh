#!/bin/sh
# build-cdylib.sh X.Y: builds the library with cargo against build/php-X.Y, into lib/cgi-fpm.so there.
# build-cdylib.sh X.Y-debug: the same for build/php-X.Y-debug, with assertions and overflow checks.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

prefix=$root/build/php-$1
target=$root/build/target-$1
case $1 in
*-debug) profile=checked ;;
*) profile=release ;;
esac
command -v cargo >/dev/null || die "cargo is missing: install Rust 1.95 or newer"
# bindgen reads PHP's headers for ext-php-rs. It needs libclang and clang's own headers.
[ -e "$prefix/lib/cgi-fpm.so" ] || need_packages clang libclang-dev

cd "$root"
env PHP="$prefix/bin/php" PHP_CONFIG="$prefix/bin/php-config" CARGO_TARGET_DIR="$target" \
	cargo build --profile "$profile" --lib -p cgi-fpm --locked
cmp -s "$target/$profile/libcgi_fpm.so" "$prefix/lib/cgi-fpm.so" ||
	put_file "$target/$profile/libcgi_fpm.so" "$prefix/lib/cgi-fpm.so"
