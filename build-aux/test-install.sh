#!/bin/sh
# test-install.sh X.Y: runs the commands of README's section "Install" and checks the result: PHP from source,
# patched, in a prefix of its own; the library by phpize; the edited configuration; `$prefix/bin/php-cgi --fpm`
# without a wrapper and without -y; phpinfo() through nginx; log and pid file; the signals.
#
# PHP is built as small as possible (no extensions, -O0) and kept in $CACHE/install-X.Y-KEY, and so is cargo's target
# directory. After the library is installed, the machine is read-only except for the prefix and a scratch directory.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
patch=$root/php-src-patch/cgi-fpm.patch
cache=${CACHE:-$(default_cache)}
unset PHP CACHE
# The library is built as in README, but with little optimisation: the other tests run the optimised one.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=false
flags='--disable-all --disable-phpdbg --without-pear CFLAGS=-O0'

# The commands: the first console block of that section.
commands=$(sed -n '/^## Install/,/^## [^I]/p' "$root/README.md" | awk '/^```/ { if (inside) exit; inside = 1; next } inside { sub(/^\$ /, ""); print }')
php_part=$(echo "$commands" | sed '/--enable-cgi …/q')
library_part=$(echo "$commands" | sed '1,/--enable-cgi …/d; /editor/,$d')
start_part=$(echo "$commands" | sed -n '/editor/,$p')
for part in "$php_part" "$library_part" "$start_part"; do
	[ -n "$part" ] || die "README's section Install has no longer the form that $0 knows"
done

need_packages nginx build-essential pkg-config autoconf libtool bison re2c patch xz-utils clang libclang-dev
mkdir -p "$cache/download"
found=$cache/download/php-$php.tarball
[ -e "$found" ] || ln -sfn "$(basename "$("$root/build-aux/fetch-php.sh" "$php" "$cache/download")")" "$found"
tarball=$(readlink -f "$found")
key=$( (basename "$tarball"; echo "$flags$php_part"; cat "$patch") | sha256sum | cut -c 1-12)
home=$cache/install-$php-$key
prefix=$home/prefix
mkdir -p "$home"
exec 9>"$home/lock"
flock -n 9 || { say "waiting for another run"; flock 9; }
log=$home/log

scratch=$(mktemp -d /tmp/cgi-fpm-install.XXXXXX)
chmod 755 "$scratch"
pid='' nginx_pid=''
stop() {
	trap '' INT TERM
	[ -z "$nginx_pid" ] || kill -QUIT "$nginx_pid" 2>/dev/null || :
	[ -z "$nginx_pid" ] || wait "$nginx_pid" || :
	[ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null || :
	rm -rf "$scratch"
}
trap stop EXIT
trap 'exit 130' INT TERM

# run WHAT COMMANDS: runs them in a new shell, as a reader would type them.
substitute() {
	sed "s|^prefix=/usr/local$|prefix='$prefix'|; s|php-$php\.x|'$scratch/src'|; s|/path/to/cgi-fpm|$home/cgi-fpm|g
		s|--enable-cgi …|--enable-cgi $flags|; s|&& make &&|\&\& make -j$(nproc) \&\&|"
}
run() {
	{
		echo "set -eux; prefix='$prefix'; editor() { '$scratch/editor' \"\$1\"; }"
		[ -z "${3:-}" ] || echo "cd '$3'"
		echo "$2" | substitute
	} >"$scratch/commands"
	# shellcheck disable=SC2086  # $4 is a command with its arguments, or nothing
	long_step "$log" "$1" ${4:-} sh "$scratch/commands"
}

: >"$log"
# A copy of the checkout, because phpize and make leave files in it. It keeps cargo's directory and all file times.
mkdir -p "$home/cgi-fpm/target"
find "$home/cgi-fpm" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
(cd "$root" && git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - 2>>"$log") | tar -x -C "$home/cgi-fpm"

# 1. patch, configure, make, make install
if [ ! -f "$home/finished" ]; then
	rm -rf "$prefix"
	mkdir "$scratch/src"
	tar -C "$scratch/src" --strip-components=1 -xf "$tarball"
	run "PHP $php as in README: patch, configure, make, make install" "$php_part"
	chmod -R go+rX "$prefix"
	: >"$home/finished"
fi
rm -rf "${prefix:?}/etc" "${prefix:?}/var" "$prefix"/lib/php/extensions

# Later steps may write nowhere else.
confined=
if [ "$(id -u)" = 0 ]; then
	cat >"$scratch/confined" <<'END'
#!/bin/sh
set -e
for place in $PLACES; do mount --bind "$place" "$place"; done
mount -o remount,bind,ro /
exec "$@"
END
	chmod 755 "$scratch/confined"
	export PLACES="$prefix $home/cgi-fpm $scratch"
	confined="unshare --mount $scratch/confined"
	$confined true 2>>"$log" || { say "no mount namespace: not confined"; confined=; }
	[ -z "$confined" ] || ! $confined touch "$home/written" 2>>"$log" || die "$home can be written to"
fi

# 2. phpize, configure, make, make install
run "the library as in README: phpize, configure, make, make install" "$library_part"
run "make install, all else read-only" "make install" "$home/cgi-fpm" "$confined"
extension_dir=$("$prefix/bin/php-config" --extension-dir)
for file in "$extension_dir/cgi-fpm.so" "$prefix/etc/php-fpm.conf.default"; do
	[ -f "$file" ] || die "make install has not put $file there"
done

# 3. edit, start
free_port() {
	# shellcheck disable=SC2016  # $s is PHP's variable
	"$prefix/bin/php" -n -r '$s = stream_socket_server("tcp://127.0.0.1:0"); echo explode(":", stream_socket_get_name($s, false))[1];'
}
port=$(free_port) web_port=$(free_port)
cat >"$scratch/editor" <<END
#!/bin/sh
sed -i 's/^listen = .*/listen = 127.0.0.1:$port/' "\$1"
END
chmod 755 "$scratch/editor"
run "the configuration and the start as in README" "$start_part" "" "$confined"
[ -f "$prefix/var/run/php-fpm.pid" ] || die "no pid file $prefix/var/run/php-fpm.pid"
pid=$(cat "$prefix/var/run/php-fpm.pid")
title=$(tr '\0' ' ' <"/proc/$pid/cmdline")
case $title in
"php-fpm: master process ($prefix/etc/php-fpm.conf)"*) ;;
*) die "process $pid of the pid file is: $title" ;;
esac

# 4. phpinfo() through nginx
mkdir "$scratch/www"
echo '<?php phpinfo();' >"$scratch/www/index.php"
chmod 644 "$scratch/www/index.php"
nginx_user=''
[ "$(id -u)" != 0 ] || nginx_user='user www-data;'
cat >"$scratch/nginx.conf" <<END
$nginx_user
pid $scratch/nginx.pid;
error_log $scratch/nginx.log;
daemon off;
worker_processes 1;
events { }
http {
	access_log off;
	client_body_temp_path $scratch/body;
	fastcgi_temp_path $scratch/fastcgi;
	proxy_temp_path $scratch/proxy;
	uwsgi_temp_path $scratch/uwsgi;
	scgi_temp_path $scratch/scgi;
	server {
		listen 127.0.0.1:$web_port;
		root $scratch/www;
		location / {
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
			fastcgi_pass 127.0.0.1:$port;
		}
	}
}
END
PATH=$PATH:/usr/sbin nginx -p "$scratch" -e "$scratch/nginx.log" -c "$scratch/nginx.conf" 9>&- &
nginx_pid=$!
page() {
	tries=50
	# shellcheck disable=SC2016  # $argv is PHP's variable
	until "$prefix/bin/php" -n -r 'echo @file_get_contents($argv[1]) ?: exit(1);' "http://127.0.0.1:$web_port/index.php"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "no page: $(tail -n 3 "$scratch/nginx.log" "$prefix/var/log/php-fpm.log" 2>&1)"
		sleep 0.1
	done
}
looks_right() {
	for text in "<title>PHP $php" 'FPM/FastCGI' "$prefix"; do
		case $1 in
		*"$text"*) ;;
		*) die "phpinfo() lacks $text: $(echo "$1" | head -c 300)" ;;
		esac
	done
}
looks_right "$(page)"

# 5. log, signals, end
fpm_log=$prefix/var/log/php-fpm.log
# logged TEXT COUNT: waits up to 10 seconds until the log contains TEXT COUNT times.
logged() {
	tries=100
	until [ "$(grep -c "$1" "$fpm_log" 2>/dev/null)" = "$2" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || die "\"$1\" is not $2 times in $fpm_log: $(tail -n 5 "$fpm_log" 2>&1)"
		sleep 0.1
	done
}
logged 'ready to handle connections' 1
kill -USR2 "$pid"
logged 'ready to handle connections' 2
looks_right "$(page)"
mv "$fpm_log" "$fpm_log.1"
kill -USR1 "$pid"
logged 'error log file re-opened' 1
kill -QUIT "$pid"
logged 'exiting, bye-bye!' 1
pid=''
[ ! -e "$prefix/var/run/php-fpm.pid" ] || die "the pid file stays"
say "installed as in README, and served phpinfo()"
