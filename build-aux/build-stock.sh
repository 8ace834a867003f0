#!/bin/sh
# build-stock.sh X.Y: the fast way. Builds the library against the PHP of Debian's packages, without building PHP.
# Makes build/stock-X.Y with lib/cgi-fpm.so and sbin/php-fpm, for use with PHP_CGI=/usr/bin/php-cgiX.Y.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
prefix=$root/build/stock-$php
target=$root/build/target-stock-$php
command -v cargo >/dev/null || die "cargo is missing: install Rust 1.95 or newer"
# -cli and -dev: ext-php-rs asks php and php-config, and reads the headers.
need_packages "php$php-cgi" "php$php-cli" "php$php-dev" gcc libc6-dev clang libclang-dev

mkdir -p "$prefix/lib" "$prefix/sbin"
cd "$root"
env PHP="/usr/bin/php$php" PHP_CONFIG="/usr/bin/php-config$php" CARGO_TARGET_DIR="$target" \
	cargo build --release --lib -p cgi-fpm --locked
cmp -s "$target/release/libcgi_fpm.so" "$prefix/lib/cgi-fpm.so" ||
	put_file "$target/release/libcgi_fpm.so" "$prefix/lib/cgi-fpm.so"
cmp -s build-aux/php-fpm.sh "$prefix/sbin/php-fpm" || put_file build-aux/php-fpm.sh "$prefix/sbin/php-fpm"
