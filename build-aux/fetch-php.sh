#!/bin/sh
# fetch-php.sh X.Y DIR: downloads PHP's upstream tarball of Debian's source package into DIR and prints its path.
#
# It first tries the version that the lists of tests were made with, by its SHA-256: an archive may keep files that
# its index no longer names, and may lack files that the index names. If that fails, it takes the newest version in
# the index. apt does the download, with the machine's own sources turned into deb-src entries of the release that
# carries this PHP, in a private directory: the system's configuration and package lists do not change.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/build-aux/common.sh"

version=$1 dir=$2
package=php$version
case $version in
8.2) release=bookworm tested=8.2.32 sum=e02aa173c236c12791696254d607da680e6d5516f8f5c2339642de7c4f944bd2 ;;
8.4) release=trixie tested=8.4.24 sum=e127be09a8506f4327c5cfa78a614b00d210714484ec215ce0011b4a03c00731 ;;
*) die "no Debian release with PHP $version is known here; give a source tree or tarball: make PHP=$version PHP_SRC=…" ;;
esac
command -v apt-get >/dev/null || die "no apt-get here; give PHP's source tree or tarball: make PHP=$version PHP_SRC=…"
own=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
work=$dir/apt-$package.$$
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/got"

# Both notations of sources (one-line and deb822) become one-line deb-src entries. Only those of the
# distribution itself are taken (suite = code name, or code name-updates, -security).
# shellcheck disable=SC2046  # one word for each file is wanted
awk -v own="$own" -v release="$release" '
function emit(options, uris, suites, components,    u, s, i, j, n, m) {
	n = split(uris, u, " "); m = split(suites, s, " ")
	for (i = 1; i <= n; i++) for (j = 1; j <= m; j++)
		if (s[j] == own || s[j] == own "-updates" || s[j] == own "-security") {
			suite = release substr(s[j], length(own) + 1)
			print "deb-src" options, u[i], suite, components
		}
}
function stanza() {
	if (field["types"] ~ /(^| )deb( |$)/ && tolower(field["enabled"]) != "no")
		emit(field["signed-by"] ~ /^ *\// ? " [signed-by=" trim(field["signed-by"]) "]" : "",
			field["uris"], field["suites"], field["components"])
	split("", field); name = ""
}
function trim(s) { gsub(/^ +| +$/, "", s); return s }
FNR == 1 { stanza() }
/^[ \t]*#/ { next }
FILENAME ~ /\.sources$/ {
	if ($0 ~ /^[ \t]*$/) { stanza(); next }
	if ($0 !~ /^[ \t]/) { name = tolower($0); sub(/:.*/, "", name); sub(/^[^:]*:/, "") }
	field[name] = field[name] " " $0
	next
}
$1 == "deb" {
	options = ""
	if (match($0, /\[[^]]*\]/)) { options = " " substr($0, RSTART, RLENGTH); sub(/\[[^]]*\]/, "") }
	uri = $2; suite_in = $3; $1 = $2 = $3 = ""
	emit(options, uri, suite_in, trim($0))
}
END { stanza() }
' $(ls /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null) \
	>"$work/sources.list"
[ -s "$work/sources.list" ] || die "apt's sources name no '$own' release to derive one from; give PHP_SRC=…"

private_apt() {
	tool=$1
	shift
	"$tool" -q -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

log=$work/log
tarball=${package}_$tested.orig.tar.xz
archives=$(sed -n 's/^deb-src.* \([a-z]*:[^ ]*\) .*/\1/p' "$work/sources.list" | sort -u)
for archive in $archives; do
	if /usr/lib/apt/apt-helper download-file "${archive%/}/pool/main/p/$package/$tarball" \
		"$work/got/$tarball" "SHA256:$sum" >>"$log" 2>&1; then
		mv -f "$work/got/$tarball" "$dir/$tarball"
		say "$package $tested, the version the tests know"
		echo "$dir/$tarball"
		exit 0
	fi
done
say "looking for $package's source in $release"
private_apt apt-get update >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "cannot read the source lists of $release"; }
versions=$(private_apt apt-cache showsrc "$package" 2>>"$log" | sed -n 's/^Version: //p' | sort -u)
# dpkg's order, newest first. A security version may be listed although its source is missing: then try the next.
versions=$(for v in $versions; do
	i=0
	for w in $versions; do dpkg --compare-versions "$v" lt "$w" && i=$((i + 1)); done
	echo "$i $v"
done | sort -n | cut -d ' ' -f 2)
[ -n "$versions" ] || die "no source package $package in $release"
for v in $versions; do
	cd "$work/got"
	if private_apt apt-get source --download-only --tar-only "$package=$v" >>"$log" 2>&1; then
		tarball=$(echo *.orig.tar.*[!c]) # not its signature, .asc
		[ -f "$tarball" ] || continue
		mv -f "$tarball" "$dir/$tarball"
		say "$package $v"
		echo "$dir/$tarball"
		exit 0
	fi
	say "$package $v is listed, but does not download: trying an older one"
done
tail -n 10 "$log" >&2
die "no version of $package's source can be downloaded"
