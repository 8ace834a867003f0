#!/bin/sh
# test.sh X.Y [style|bindings|unit|process|phpt|debug|install]…: the stages of `make test` (all by default; debug and install with 8.4 only). A
# stage that fails does not keep the next from running. The last lines say what ran, how long it took and what was skipped; the very last one
# is the sum. build/test-X.Y/{summary,skipped,total} keep these for .ci/run.
#
# CGI_FPM_SECOND: set if all has been tested with another PHP version: leaves out what does not depend on PHP's version.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

php=$1
shift
second=${CGI_FPM_SECOND:-}
prefix=$root/build/php-$php
results=$root/build/test-$php
mkdir -p "$results"
scratch=$(mktemp -d /tmp/cgi-fpm-make.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$scratch"
total_passed=0 total_failed=0 total_skipped=0

# begin NAME: a part begins; `add` says how long it took.
begin() {
	say "$1"
	began=$(date +%s)
}

# add NAME PASSED FAILED SKIPPED
add() {
	printf '%s: %s passed, %s failed, %s skipped (%d s)\n' "$@" $(($(date +%s) - began)) | tee -a "$scratch/summary"
	total_passed=$((total_passed + $2))
	total_failed=$((total_failed + $3))
	total_skipped=$((total_skipped + $4))
}

# checked NAME COMMAND…: one test that either passes or fails.
checked() {
	name=$1
	shift
	begin "$name"
	if (cd "$root" && "$@"); then add "$name" 1 0 0; else add "$name" 0 1 0; fi
}

# cargo_tests NAME ARGUMENTS…: runs `cargo test` and reads its counts. A failing build is one failure. The tests themselves
# need no PHP to be built, so both versions use one target directory. For the harness
# a skipped test has passed; the testkit writes skipped tests into a file, and tests/skips.txt lists which of them are
# allowed.
cargo_tests() {
	name=$1
	shift
	begin "$name tests"
	log=$results/$name.log
	CGI_FPM_SKIPS=$scratch/skips-$name
	export CGI_FPM_SKIPS
	: >"$CGI_FPM_SKIPS"
	# Tests that run as other users append to it, too.
	chmod 666 "$CGI_FPM_SKIPS"
	# The status goes through a file: the status of a pipeline is that of its last command.
	{ (cd "$root" && CARGO_TARGET_DIR="${cargo_target:-$root/build/target-tests}" cargo test --locked --no-fail-fast "$@") 2>&1 </dev/null &&
		echo 0 >"$scratch/status" || echo 1 >"$scratch/status"; } | tee "$log"
	counts=$(awk '/^test result:/ { p += $4; f += $6; s += $8 } END { print p + 0, f + 0, s + 0 }' "$log")
	# shellcheck disable=SC2086  # three words are wanted
	set -- $counts
	if [ "$(cat "$scratch/status")" != 0 ] && [ "$2" = 0 ]; then
		set -- "$1" 1 "$3"
	fi
	user=other
	[ "$(id -u)" != 0 ] || user=root
	"$root/build-aux/check-skips.sh" "$root/tests/skips.txt" "$CGI_FPM_SKIPS" "php=$php" "stage=$name" "user=$user" >"$scratch/checked"
	unset CGI_FPM_SKIPS
	sed '$d' "$scratch/checked"
	sed -n "s/^skipped /$name: &/p" "$scratch/checked" >>"$scratch/skipped"
	# shellcheck disable=SC2046  # two words are wanted
	set -- "$@" $(tail -n 1 "$scratch/checked")
	add "$name" $(($1 - $4)) $(($2 + $5)) $(($3 + $4))
}

# What the tests of `process` about the work of the supervisor alone are called: its logs, sockets, signals, limits, groups, monitor,
# and what pools can do to each other. It is the same code with each PHP and through each door, so these run once, with the
# first version and through the patched door. New modules run everywhere unless they are added here (tests/README.md).
own_work='walls:: retained:: monitor:: groups:: logs:: sockets:: xml_config:: partial_reload:: half_sent:: signals_to_all:: output::
	descriptors:: pipes:: unread_log:: syslog:: stop:: death:: base::asleep:: reload::storm signals::reloads:: signals::one_behind
	signals::term_against'

# again NAME: all that depends on PHP or on the door: the tests of a second version, or through a second door. `library` calls the library
# without PHP, and `load` is about the processes.
again() {
	name=$1
	shift
	# shellcheck disable=SC2046,SC2086  # words are wanted
	cargo_tests "$name" --no-default-features "$@" --test pages --test process --test sapi -- $(printf ' --skip %s' $own_work)
}

# phpt NAME OPTIONS…: tests-phpt/run, its counts read from its last line.
phpt() {
	name=$1
	shift
	begin "$name"
	log=$results/$name.log
	"$root/tests-phpt/run" --php "$php" "$@" 2>&1 </dev/null | tee "$log"
	sed -n "s/^skipped /$name: &/p" "$log" >>"$scratch/skipped"
	# shellcheck disable=SC2046
	set -- $(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
	[ $# = 3 ] || set -- 0 1 0
	add "$name" "$@"
}

clippy() {
	# With PHP's bindings and without them, because both kinds of tests are built, and with what only compare-forms.sh builds.
	export CARGO_TARGET_DIR="$root/build/target-$php" PHP="$prefix/bin/php" PHP_CONFIG="$prefix/bin/php-config"
	cargo clippy --locked --release --lib -p cgi-fpm -- -D warnings &&
		cargo clippy --locked --release --lib -p cgi-fpm --features differential -- -D warnings &&
		{ [ -n "$second" ] || cargo clippy --locked --workspace --no-default-features --all-targets -- -D warnings; }
}

# Warnings of rustdoc are errors: broken links, and text that it takes for markup. With PHP's bindings and without.
documentation() {
	# Private items are documented as well, so links to them work.
	export RUSTDOCFLAGS="-Dwarnings -Arustdoc::private-intra-doc-links" CARGO_TARGET_DIR="$root/build/target-$php" PHP="$prefix/bin/php" PHP_CONFIG="$prefix/bin/php-config"
	cargo doc --locked --release --no-deps --document-private-items --lib -p cgi-fpm &&
		cargo doc --locked --no-deps --document-private-items --workspace --no-default-features
}

# The fuzz targets are a workspace of their own. (Clippy's --all-targets has compiled the examples.)
fuzz_targets() {
	cargo fmt --manifest-path fuzz/Cargo.toml --check &&
		CARGO_TARGET_DIR="$root/build/target-fuzz" cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
}

stage() {
	case $1 in
	style)
		checked "formatting" cargo fmt --all --check
		checked "source files" build-aux/check-sources.sh
		checked "layers" build-aux/check-layers.sh
		checked "check of layers" build-aux/test-check-layers.sh
		checked "shell scripts" build-aux/check-scripts.sh
		checked "clippy" clippy
		checked "documentation" documentation
		checked "fuzz targets" fuzz_targets
		;;
	# With CGI_FPM_SECOND: what `style` says about the code that uses PHP's headers.
	bindings) checked "clippy" clippy ;;
	unit)
		# Parsers and decisions; no PHP needed.
		cargo_tests unit --workspace --no-default-features --lib
		;;
	process)
		# Real processes, on the built prefix. Tests of root drop to other users, who must be able to reach it.
		stock=
		[ "$php" != 8.2 ] || stock="php8.2-cgi php8.2-fpm php8.2-soap"
		# shellcheck disable=SC2086
		need_packages nginx apache2 lighttpd caddy chromium adminer locales strace prometheus python3-prometheus-client $stock
		[ -n "${public:-}" ] || public=$(public_prefix "$prefix" "$scratch")
		CGI_FPM_PREFIX=$public
		# oracle::configuration compares with these: php-fpm of the same build, php-src's tests, generated files.
		CGI_FPM_STOCK=$(readlink -f "$prefix/libexec/php-fpm-stock")
		CGI_FPM_PHP_SRC=$(readlink -f "$prefix/src")
		CGI_FPM_GENERATED=${CGI_FPM_GENERATED:-1000}
		CGI_FPM_EXPORTER=$("$root/build-aux/fetch-exporter.sh")
		# process::upgrade starts this former version.
		CGI_FPM_FORMER=$("$root/build-aux/former.sh" "$php" || :)
		# process::pool_php runs both versions on one server, if the other one is built: in the second round of .ci/run.
		other=8.2
		[ "$php" != 8.2 ] || other=8.4
		if [ -e "$root/build/php-$other/lib/cgi-fpm.so" ]; then
			mkdir -p "$scratch/other"
			CGI_FPM_OTHER_PREFIX=$(public_prefix "$root/build/php-$other" "$scratch/other")
			export CGI_FPM_OTHER_PREFIX
		fi
		export CGI_FPM_PREFIX CGI_FPM_STOCK CGI_FPM_PHP_SRC CGI_FPM_GENERATED CGI_FPM_EXPORTER CGI_FPM_FORMER
		if [ -z "$second" ]; then
			cargo_tests process --no-default-features --test '*'
		else
			again process --test oracle
		fi
		# The other door: Debian's php-cgi has the same API as our 8.2.
		if [ -n "$stock" ] && [ -x "/usr/bin/php-cgi$php" ]; then
			CGI_FPM_EXTENSIONS=$("$root/build-aux/fetch-extensions.sh")
			export CGI_FPM_DOOR=stock CGI_FPM_EXTENSIONS
			again process-stock
			unset CGI_FPM_DOOR
		else
			# Debian has no php-cgi 8.4: preload into our own, whose main is never reached then. Only tests that depend on the
			# door.
			CGI_FPM_DOOR=stock CGI_FPM_HOST=$public/bin/php-cgi
			export CGI_FPM_DOOR CGI_FPM_HOST
			cargo_tests process-stock --no-default-features --test sapi -- every_door::
			unset CGI_FPM_DOOR CGI_FPM_HOST
		fi
		;;
	debug)
		# PHP in debug mode reports memory leaks at the end of each request, and aborts on a broken invariant; the testkit
		# looks for both.
		begin "PHP $php in debug mode"
		if ! { "$root/build-aux/build-php.sh" "$php-debug" && "$root/build-aux/build-cdylib.sh" "$php-debug"; }; then
			add debug 0 1 0
			return 0
		fi
		# The unit tests of src/php need PHP's headers. They run in the same build, with assertions.
		cargo_target=$root/build/target-$php-debug PHP=$prefix-debug/bin/php PHP_CONFIG=$prefix-debug/bin/php-config
		export PHP PHP_CONFIG
		cargo_tests debug-unit --profile checked --lib -p cgi-fpm php::
		unset cargo_target PHP PHP_CONFIG
		need_packages nginx apache2 lighttpd caddy locales
		mkdir -p "$scratch/debug"
		CGI_FPM_OTHER_MODE=$prefix CGI_FPM_DEBUG=1
		CGI_FPM_PREFIX=$(public_prefix "$prefix-debug" "$scratch/debug")
		export CGI_FPM_PREFIX CGI_FPM_DEBUG CGI_FPM_OTHER_MODE
		# The small PHP lacks opcache's JIT, soap, gd, intl, curl, openssl, xml and pdo: these tests do not need them.
		cargo_tests debug --no-default-features --test sapi
		unset CGI_FPM_PREFIX CGI_FPM_DEBUG CGI_FPM_OTHER_MODE
		;;
	phpt)
		phpt phpt
		# Our own *.phpt also through the other door.
		phpt phpt-stock --door stock --own
		;;
	install) checked install build-aux/test-install.sh "$php" ;;
	*) die "unknown stage $1" ;;
	esac
}

if [ $# = 0 ]; then
	set -- style unit process phpt
	# One version is enough; each version builds another PHP if the cache has none (3 minutes).
	[ "$php" != 8.4 ] || set -- "$@" debug install
	if [ -n "$second" ]; then
		shift 2
		set -- bindings "$@"
	fi
fi
for each in "$@"; do
	stage "$each"
done
touch "$scratch/skipped" "$scratch/summary"
say "PHP $php: skipped, as listed"
cat "$scratch/skipped"
say "PHP $php:"
cat "$scratch/summary"
cp "$scratch/skipped" "$scratch/summary" "$results/"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped" | tee "$results/total"
[ "$total_failed" = 0 ]
