#!/bin/sh
# run.sh X.Y: nginx on 127.0.0.1:$PORT in front of `php-cgi --fpm`, serving examples/www; Ctrl-C stops both.
# Environment: PORT, DOOR (patched: our PHP; stock: Debian's php-cgi with the library preloaded).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
port=${PORT:-8080}
case ${DOOR:-patched} in
patched)
	"$root/build-aux/build-php.sh" "$php"
	"$root/build-aux/build-cdylib.sh" "$php"
	prefix=$root/build/php-$php
	php_cli=$prefix/bin/php
	;;
stock)
	"$root/build-aux/build-stock.sh" "$php"
	prefix=$root/build/stock-$php
	php_cli=/usr/bin/php$php
	export PHP_CGI="/usr/bin/php-cgi$php"
	;;
*) die "DOOR=$DOOR: there are two doors, patched and stock" ;;
esac
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || {
	need_packages nginx
	nginx=/usr/sbin/nginx
}

# In /tmp: the path of a socket must be short, and pool users must be able to reach it.
run=$(mktemp -d /tmp/cgi-fpm-run.XXXXXX)
chmod 755 "$run"
fpm_pid='' nginx_pid=''
# shellcheck disable=SC2317  # the trap below calls it
stop() {
	trap '' INT TERM HUP
	[ -z "$nginx_pid" ] || kill -QUIT "$nginx_pid" 2>/dev/null || :
	[ -z "$nginx_pid" ] || wait "$nginx_pid" || :
	[ -z "$fpm_pid" ] || kill -TERM "$fpm_pid" 2>/dev/null || :
	[ -z "$fpm_pid" ] || wait "$fpm_pid" || :
	rm -rf "$run"
}
trap stop EXIT
# php-fpm has a session of its own, which neither Ctrl-C nor the end of the terminal reaches: this shell ends it.
trap 'say "stopping"; exit 0' INT TERM HUP

pool_user='' nginx_user=''
if [ "$(id -u)" = 0 ]; then
	pool_user='user = www-data
group = www-data
listen.owner = www-data'
	nginx_user='user www-data;'
fi
prefix=$(public_prefix "$prefix" "$run")
cp -R "$root/examples/www" "$run/www"
chmod -R go+rX "$run/www"
cat >"$run/php-fpm.conf" <<EOF
[global]
pid = $run/php-fpm.pid
error_log = /dev/stderr
daemonize = no

[www]
$pool_user
listen = $run/php.sock
pm = static
pm.max_children = 4
catch_workers_output = yes
EOF
cat >"$run/nginx.conf" <<EOF
$nginx_user
pid $run/nginx.pid;
error_log stderr;
daemon off;
worker_processes 1;
events { }
http {
	access_log off;
	client_max_body_size 64m;
	client_body_temp_path $run/body;
	fastcgi_temp_path $run/fastcgi;
	proxy_temp_path $run/proxy;
	uwsgi_temp_path $run/uwsgi;
	scgi_temp_path $run/scgi;
	upstream php {
		server unix:$run/php.sock;
		keepalive 16;
	}
	server {
		listen 127.0.0.1:$port;
		root $run/www;
		location / {
			try_files \$uri /index.php\$is_args\$args;
		}
		location ~ \.php\$ {
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
			fastcgi_keep_conn on;
			fastcgi_pass php;
		}
	}
}
EOF
# Our PHP has no php.ini of its own; Debian's has.
set -- -F -y "$run/php-fpm.conf"
if [ "${DOOR:-patched}" = patched ]; then
	: >"$run/php.ini"
	extension_dir=$("$php_cli" -n -r 'echo ini_get("extension_dir");')
	[ ! -f "$extension_dir/opcache.so" ] || echo "zend_extension=opcache" >"$run/php.ini"
	set -- -c "$run/php.ini" "$@"
fi

"$prefix/sbin/php-fpm" "$@" &
fpm_pid=$!
tries=100
while [ ! -S "$run/php.sock" ]; do
	tries=$((tries - 1))
	{ kill -0 "$fpm_pid" 2>/dev/null && [ "$tries" -gt 0 ]; } || die "php-cgi --fpm did not come up"
	sleep 0.1
done
"$nginx" -p "$run" -e stderr -c "$run/nginx.conf" &
nginx_pid=$!
url=http://127.0.0.1:$port/
tries=50
# shellcheck disable=SC2016  # $argv is PHP's variable
until "$php_cli" -n -r 'exit(@file_get_contents($argv[1]) === false ? 1 : 0);' "$url"; do
	tries=$((tries - 1))
	{ kill -0 "$nginx_pid" 2>/dev/null && [ "$tries" -gt 0 ]; } || die "$url gives no page (is port $port taken? make run PORT=8081)"
	sleep 0.1
done
say "PHP $php, ${DOOR:-patched} php-cgi --fpm behind nginx: $url (Ctrl-C stops both)"
while kill -0 "$fpm_pid" 2>/dev/null && kill -0 "$nginx_pid" 2>/dev/null; do
	# In the background, so that a signal is acted upon at once.
	sleep 1 >/dev/null 2>&1 &
	wait $! || :
done
die "a server has ended by itself"
