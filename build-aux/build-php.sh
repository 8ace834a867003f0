#!/bin/sh
# build-php.sh X.Y: makes build/php-X.Y, a prefix with our patched PHP (everything except lib/cgi-fpm.so).
# build-php.sh X.Y-debug: the same in build/php-X.Y-debug, with a small PHP that is built with --enable-debug.
#
# The build itself is cached in $CACHE/php-VERSION-KEY, which all checkouts share; the key is a hash of source and
# configure flags. PHP compiles its prefix in, so it is built in its final directory. The file `finished` is written
# last; a directory without it is built again. The patched php-cgi is stored there once for each patch, as
# php-cgi-HASH: another patch costs seconds, not a build of PHP.
# Environment: PHP_SRC (source directory or tarball, instead of Debian's), CACHE.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

flavour=$1
php=${flavour%-debug}
patch=$root/php-src-patch/cgi-fpm.patch
prefix=$root/build/php-$flavour
cache=${CACHE:-$(default_cache)}
unset PHP CACHE

# What the test suite and real applications need. The default extensions (ctype, dom, filter, pdo, posix, session,
# simplexml, sqlite3, tokenizer, xml…) are left on. opcache is shared in 8.2-8.4 and built in from 8.5 on.
configure_flags="
	--enable-cli --enable-cgi --disable-phpdbg --without-pear
	--enable-fpm --with-fpm-acl --with-fpm-systemd
	--enable-opcache --enable-mbstring --enable-intl --enable-gd --with-jpeg
	--with-openssl --with-zlib --with-curl --enable-pcntl --enable-sockets
	--enable-dl-test=shared --enable-zend-test=shared
	CFLAGS=-O2 CXXFLAGS=-O2"
# The debug build: what takes little time to compile, and has ini settings or process state of its own.
[ "$php" = "$flavour" ] || configure_flags="
	--disable-all --enable-debug --enable-cli --enable-cgi --enable-fpm --disable-phpdbg --without-pear
	--enable-opcache --disable-opcache-jit --enable-ctype --enable-filter --enable-mbstring --disable-mbregex
	--enable-pcntl --enable-posix --enable-session --enable-tokenizer --with-zlib
	--enable-zend-test=shared"
minutes="5 to 15"
[ "$php" = "$flavour" ] || minutes="2 to 5"
packages="build-essential pkg-config autoconf libtool bison re2c patch xz-utils acl
	libssl-dev zlib1g-dev libcurl4-openssl-dev libxml2-dev libsqlite3-dev libonig-dev libicu-dev
	libpng-dev libjpeg-dev libacl1-dev libsystemd-dev"

mkdir -p "$cache/download" 2>/dev/null || die "cannot write to the cache $cache; choose another: make CACHE=DIR"
cache=$(cd "$cache" && pwd)
exec 9>"$cache/lock-$flavour"
flock -n 9 || { say "waiting for another build of PHP $flavour"; flock 9; }

# 1. Where does the source come from, and what names its contents?
if [ -n "${PHP_SRC:-}" ]; then
	source=$PHP_SRC
	[ -e "$source" ] || die "PHP_SRC=$source does not exist"
	if [ -d "$source" ]; then
		source=$(cd "$source" && pwd)
		[ -f "$source/main/php_version.h" ] || die "PHP_SRC=$source is not a PHP source tree (no main/php_version.h)"
		contents=$(find "$source" -name .git -prune -o -type f -printf '%P %s %T@\n' | sort)
	else
		contents=$(sha256sum <"$source")
	fi
else
	# The link stores the result, so that a later run needs no network. Remove it to look for a newer version.
	found=$cache/download/php-$php.tarball
	if [ ! -e "$found" ]; then
		tarball=$("$root/build-aux/fetch-php.sh" "$php" "$cache/download")
		ln -sfn "$(basename "$tarball")" "$found"
	fi
	source=$(readlink -f "$found")
	contents=$(basename "$source")
fi
key=$(printf '%s\n' "$contents" "$configure_flags" | sha256sum | cut -c 1-12)
built=$cache/php-$flavour-$key
php_cgi=$built/php-cgi-$(sha256sum <"$patch" | cut -c 1-12)
log=$built/build.log

# 2. Build, unless that was done before.
apply_patch() {
	cp "$built/cgi_main.c.pristine" sapi/cgi/cgi_main.c
	patch -p1 -F0 --batch --forward <"$patch" >>"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		die "php-src-patch/cgi-fpm.patch does not apply to PHP $(cat "$built/version")"
	}
}
build() {
	# shellcheck disable=SC2086  # words are wanted
	need_packages $packages
	rm -rf "$built"
	mkdir -p "$built/src"
	: >"$log"
	if [ -d "$source" ]; then
		say "copying $source"
		(cd "$source" && tar -cf - --exclude=.git .) | tar -C "$built/src" -xf -
	else
		tar -C "$built/src" --strip-components=1 -xf "$source" || die "cannot unpack $source"
	fi
	cd "$built/src"
	[ -f main/php_version.h ] || die "$source holds no PHP source (no main/php_version.h)"
	actual=$(sed -n 's/^#define PHP_VERSION "\(.*\)"$/\1/p' main/php_version.h)
	case $actual in
	"$php".*) ;;
	*) die "$source is PHP $actual; say make PHP=$(echo "$actual" | cut -d . -f 1,2)" ;;
	esac
	[ ! -f Makefile ] || make -s distclean >>"$log" 2>&1 || : # a tree that was built elsewhere
	echo "$actual" >"$built/version"
	cp sapi/cgi/cgi_main.c "$built/cgi_main.c.pristine"
	apply_patch
	[ -f configure ] || long_step "$log" "PHP $actual: buildconf" ./buildconf --force
	# shellcheck disable=SC2086
	long_step "$log" "PHP $actual: configure" ./configure -q --prefix="$built/prefix" $configure_flags
	long_step "$log" "PHP $actual: compiling, $minutes minutes" make -j "$(nproc)"
	long_step "$log" "PHP $actual: installing into the cache" make install
	"$built/prefix/bin/php" -n -v >/dev/null || die "the new PHP does not run: $built/prefix/bin/php -n -v"
	put_file sapi/cgi/php-cgi "$php_cgi"
	# Other users read this directory and write nothing in it.
	chmod -R go+rX,go-w "$built"
	: >"$built/finished"
	say "PHP $actual is in $built"
}
build_php_cgi() {
	cd "$built/src"
	apply_patch
	long_step "$log" "PHP $(cat "$built/version"): php-cgi with this patch" make sapi/cgi/php-cgi
	chmod 755 sapi/cgi/php-cgi
	put_file sapi/cgi/php-cgi "$php_cgi"
}
[ -f "$built/finished" ] || (build)
[ -f "$php_cgi" ] || (build_php_cgi)

# 3. The prefix of this checkout. php-cgi is a copy, because it looks for lib/cgi-fpm.so beside itself, and tests
# replace it. The rest are links.
if [ "$(cat "$prefix/.built" 2>/dev/null)" != "$php_cgi" ]; then
	say "making $prefix"
	mkdir -p "$prefix/bin" "$prefix/sbin" "$prefix/libexec" "$prefix/lib"
	rm -f "$prefix/.built"
	for name in php php-config phpize; do
		ln -sfn "$built/prefix/bin/$name" "$prefix/bin/$name"
	done
	ln -sfn "$built/prefix/sbin/php-fpm" "$prefix/libexec/php-fpm-stock"
	ln -sfn "$built/src" "$prefix/src"
	put_file "$php_cgi" "$prefix/bin/php-cgi"
	echo "$php_cgi" >"$prefix/.built"
fi
cmp -s "$root/build-aux/php-fpm.sh" "$prefix/libexec/php-fpm-preload" ||
	put_file "$root/build-aux/php-fpm.sh" "$prefix/libexec/php-fpm-preload"
cc -O2 -Wall -Wextra -Werror -o "$prefix/libexec/php-fpm.new" "$root/build-aux/php-fpm.c" || die "cannot compile build-aux/php-fpm.c"
cmp -s "$prefix/libexec/php-fpm.new" "$prefix/sbin/php-fpm" || put_file "$prefix/libexec/php-fpm.new" "$prefix/sbin/php-fpm"
rm -f "$prefix/libexec/php-fpm.new"
