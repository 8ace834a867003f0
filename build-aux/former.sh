#!/bin/sh
# former.sh X.Y: prints the path of the library of a former version, which tests/process/upgrade.rs starts and then upgrades. It is built
# from this checkout's history, with little optimisation, and cached beside PHP.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

# The last commit with socket channels between supervisor and zygotes. This version must understand its state and its
# zygotes.
commit=3dde3d16c39c33d346a411246f143cfef6d27bd9
prefix=$root/build/php-$1
cache=${CACHE:-$(default_cache)}
# The library is built for one PHP: another PHP needs another library.
key=$(readlink -f "$prefix/src" | sha256sum | cut -c 1-12)
place=$cache/former/$commit-$key
if [ ! -e "$place/cgi-fpm.so" ]; then
	git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null ||
		die "no commit $commit in this checkout's history: fetch it (git fetch --unshallow), the upgrade tests need it"
	say "PHP $1: the library of commit $commit, for the upgrade tests (2 minutes)"
	mkdir -p "$place"
	scratch=$(mktemp -d "$place/building.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	mkdir "$scratch/source"
	git -C "$root" archive "$commit" | tar -C "$scratch/source" -xf -
	(cd "$scratch/source" && env PHP="$prefix/bin/php" PHP_CONFIG="$prefix/bin/php-config" CARGO_TARGET_DIR="$scratch/target" \
		cargo build --quiet --profile quick --lib -p cgi-fpm --locked >&2)
	chmod 755 "$cache/former" "$place"
	put_file "$scratch/target/quick/libcgi_fpm.so" "$place/cgi-fpm.so"
	chmod 644 "$place/cgi-fpm.so"
fi
echo "$place/cgi-fpm.so"
