#!/bin/sh
# install.sh X.Y: installs php-cgi, the library, the program php-fpm and a default configuration into $DESTDIR$PREFIX.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
from=$root/build/php-$php
to=${DESTDIR:-}${PREFIX:-/usr/local}
case ${PREFIX:-/usr/local} in
/*) ;;
*) die "PREFIX=$PREFIX is not an absolute path" ;;
esac
mkdir -p "$to/bin" "$to/lib" "$to/sbin" "$to/libexec" "$to/etc" "$to/var/run" "$to/var/log"
for file in bin/php-cgi lib/cgi-fpm.so sbin/php-fpm libexec/php-fpm-preload; do
	put_file "$from/$file" "$to/$file"
	chmod 755 "$to/$file"
done
# For pools with another PHP than the supervisor's: process.php finds the library for a stock php-cgi under this name.
put_file "$from/lib/cgi-fpm.so" "$to/lib/cgi-fpm-$php.so"
chmod 755 "$to/lib/cgi-fpm-$php.so"
put_file "$root/build-aux/php-fpm.conf.default" "$to/etc/php-fpm.conf.default"
chmod 644 "$to/etc/php-fpm.conf.default"
say "installed in $to: bin/php-cgi, lib/cgi-fpm.so, lib/cgi-fpm-$php.so, sbin/php-fpm, libexec/php-fpm-preload, etc/php-fpm.conf.default"
say "php.ini and extensions of this PHP stay at $("$from/bin/php-config" --prefix): for a permanent installation, build PHP with your own prefix and use config.m4"
