# Sourced by the other scripts: messages, system packages, long steps. Not run directly.
# shellcheck shell=sh
# The caller has said `set -eu` and has set $root (the checkout).

# Variables for our make must not reach php-src's make and configure, which would use them too.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

# default_cache: the directory of built PHPs. As root not in a home directory that other users cannot enter: pool
# users must be able to read PHP's extensions there.
default_cache() {
	if [ "$(id -u)" = 0 ] && [ -z "${XDG_CACHE_HOME:-}" ]; then
		echo /var/cache/cgi-fpm
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/cgi-fpm"
	fi
}

# need_packages NAME...: installs the Debian packages that are missing, or names them all in one line.
need_packages() {
	if ! command -v dpkg-query >/dev/null; then
		say "not a Debian system: taking for granted what these packages hold: $*"
		return 0
	fi
	missing=
	for package in "$@"; do
		case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) in
		ii*) ;;
		*) missing="$missing $package" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" = 0 ]; then
		sudo=
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo=sudo
	else
		die "missing packages, and no root to install them. Run: apt-get install$missing"
	fi
	say "installing$missing"
	log=$(mktemp)
	# RUNLEVEL: a web server that comes with it is not started on port 80, where SysV's rules hold.
	# shellcheck disable=SC2086  # words are wanted
	if ! { $sudo apt-get -q update && $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "cannot install$missing"
	fi
	rm -f "$log"
}

# long_step LOG WHAT COMMAND...: runs the command with its output in LOG, prints progress now and then, and prints the
# end of LOG if it fails.
long_step() {
	step_log=$1 step_what=$2
	shift 2
	say "$step_what (log: $step_log)"
	step_start=$(date +%s)
	# The ticker closes the lock's descriptor and writes only to stderr, so that no process waits for its sleep.
	(
		exec 9>&-
		while sleep 20 >/dev/null 2>&1; do
			# of a compiler's command line, only the source file
			printf '   … %d s: %s\n' "$(($(date +%s) - step_start))" "$(tail -n 1 "$step_log" |
				sed 's/.* \([^ ]*\.\(c\|cc\|cpp\)\) .*/\1/; s/\(.\{100\}\).*/\1/')" >&2
		done
	) &
	step_ticker=$!
	step_status=0
	"$@" >>"$step_log" 2>&1 </dev/null || step_status=$?
	kill "$step_ticker" 2>/dev/null || :
	wait "$step_ticker" 2>/dev/null || :
	if [ "$step_status" != 0 ]; then
		tail -n 30 "$step_log" | cut -c 1-300 >&2
		die "$step_what failed with status $step_status, see $step_log"
	fi
}

# put_file FROM TO: replaces TO in one step, so that a process that runs or maps the old file keeps it unchanged.
put_file() {
	cp -f --reflink=auto "$1" "$2.new.$$"
	mv -f "$2.new.$$" "$2"
}

# public_prefix PREFIX SCRATCH: prints a prefix that every user can reach: PREFIX itself or, if its checkout is in a
# home directory that other users cannot enter, a copy in SCRATCH (a directory in /tmp).
public_prefix() {
	if [ "$(id -u)" != 0 ] || setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$1/lib/cgi-fpm.so"; then
		echo "$1"
		return 0
	fi
	mkdir "$2/prefix"
	cp -R -P "$1/." "$2/prefix/"
	chmod -R go+rX "$2/prefix"
	echo "$2/prefix"
}
