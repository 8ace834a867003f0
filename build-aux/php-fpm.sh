#!/bin/sh
# php-fpm's command line on top of cgi-fpm: executes `php-cgi --fpm ARGUMENTS` (by exec, so the process id stays).
#
#   php-fpm …                            the patched php-cgi of the prefix that this file lies in
#   PHP_CGI=/usr/bin/php-cgi8.2 php-fpm  a php-cgi as it comes, with our library preloaded
#
# The environment may have no PATH, so this script uses only builtins and absolute paths.

fail() {
	printf '%s\n' "php-fpm: $*" >&2
	exit 70
}

# If the filter of an old container refuses the system call of `test -x` and `test -r`, these always fail: then it is
# enough that the file exists.
may() {
	test "$1" "$2" || { [ -f "$2" ] && ! test "$1" /bin/sh; }
}

self=$0
while [ -L "$self" ]; do
	target=$(/usr/bin/readlink "$self") || fail "cannot read the link $self"
	case $target in
	/*) self=$target ;;
	*) self=${self%/*}/$target ;;
	esac
done
case $self in
*/*) ;;
*) self=./$self ;;
esac
prefix=$(cd -P -- "${self%/*}/.." && pwd -P) || fail "cannot find the directory that $self lies in"
prefix=${prefix%/}
library=$prefix/lib/cgi-fpm.so

if [ -z "${PHP_CGI:-}" ]; then
	# The patch in php-cgi finds the library, and prints an error if it cannot.
	may -x "$prefix/bin/php-cgi" || fail "no program $prefix/bin/php-cgi; PHP_CGI=/usr/bin/php-cgi8.2 would use an unpatched one"
	unset PHP_CGI
	exec "$prefix/bin/php-cgi" --fpm "$@"
fi

php_cgi=$PHP_CGI
unset PHP_CGI # scripts may see the environment: clear_env = no
case $php_cgi in
/*) ;;
*) fail "PHP_CGI=$php_cgi is not an absolute path" ;;
esac
{ [ -f "$php_cgi" ] && may -x "$php_cgi"; } || fail "PHP_CGI=$php_cgi is not a program that can be run"
may -r "$library" || fail "no library $library"
case $library in
*[\ :]*) fail "$library cannot be preloaded: a blank or colon in its path would end it" ;;
esac
if [ -u "$php_cgi" ] || [ -g "$php_cgi" ]; then
	fail "$php_cgi is setuid or setgid, so the system ignores LD_PRELOAD: use a copy without that bit, or a patched php-cgi"
fi

preload=$library${LD_PRELOAD:+:$LD_PRELOAD}
# Does the dynamic loader take our library? With this variable it only lists what it would load. A static
# program, or one with file capabilities, ignores both variables, and its output names no library of ours.
listed=$(LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD=$preload "$php_cgi" -n -v 2>&1 </dev/null)
case $listed in
*"'$library' from LD_PRELOAD cannot be preloaded"*) fail "$library cannot be loaded into $php_cgi: wrong architecture or not readable" ;;
*"$library "*) ;;
*) fail "$php_cgi ignores LD_PRELOAD (static, file capabilities or a SELinux transition): use a patched php-cgi" ;;
esac

LD_PRELOAD=$preload
export LD_PRELOAD
exec "$php_cgi" --fpm "$@"
