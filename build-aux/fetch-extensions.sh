#!/bin/sh
# fetch-extensions.sh: prints the directory of Debian's apcu, xdebug, redis and memcached for PHP 8.2 and their
# dependencies, or nothing if they cannot be fetched. They are unpacked, not installed: no other test's php.ini loads
# them.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

cache=${CACHE:-$(default_cache)}
place=$cache/download/debian-extensions-8.2
if [ ! -e "$place/memcached.so" ]; then
	mkdir -p "$cache/download"
	scratch=$(mktemp -d "$cache/download/fetching.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	chmod 755 "$scratch"
	[ "$(id -u)" != 0 ] || apt-get -q update >/dev/null 2>&1 || :
	# redis and memcached can serialise with igbinary and msgpack; memcached needs the libraries.
	# shellcheck disable=SC2015  # whatever fails leads to the same end
	(cd "$scratch" && apt-get -q download php8.2-apcu php8.2-xdebug php8.2-redis php8.2-memcached php8.2-igbinary \
		php8.2-msgpack libmemcached11 libhashkit2 libsasl2-2 >&2 2>/dev/null &&
		for file in *.deb; do dpkg-deb -x "$file" all || exit 1; done &&
		mkdir out && cp all/usr/lib/php/2*/*.so out && cp -P all/usr/lib/*/lib*.so.* out) >&2 ||
		{ say "Debian's PHP extensions can't be fetched: their tests are skipped"; exit 0; }
	chmod -R go+rX "$scratch/out"
	[ -e "$place" ] || mv "$scratch/out" "$place"
fi
echo "$place"
