dnl For people who build PHP themselves: phpize && ./configure --enable-cgi-fpm && make && make install
dnl builds the library by cargo for the PHP that phpize belongs to, and installs it as cgi-fpm.so in its extension
dnl directory. There a php-cgi with php-src-patch/ finds it. It is no extension: php.ini does not name it.

PHP_ARG_ENABLE([cgi-fpm],
  [whether to build the library for php-cgi --fpm],
  [AS_HELP_STRING([--enable-cgi-fpm], [Build cgi-fpm.so for php-cgi --fpm])],
  [yes])

if test "$PHP_CGI_FPM" != "no"; then
  AC_PATH_PROG([CARGO], [cargo], [no])
  if test "$CARGO" = "no"; then
    AC_MSG_ERROR([cargo is missing: install Rust 1.95 or newer])
  fi

  AC_MSG_CHECKING([whether PHP is built without thread safety])
  if "$PHP_EXECUTABLE" -n -r 'exit(PHP_ZTS);'; then
    AC_MSG_RESULT([yes])
  else
    AC_MSG_RESULT([no])
    AC_MSG_ERROR([php-cgi --fpm needs a PHP without thread safety (ZTS)])
  fi

  PHP_ADD_BUILD_DIR([modules])
  PHP_SUBST([CARGO])
  PHP_SUBST([PHP_CONFIG])
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/build-aux/Makefile.frag], [$abs_srcdir], [$abs_builddir])

  dnl configure is about to write ./Makefile. Ours stays, the new one becomes phpize.mk, which ours then includes.
  if test -f Makefile && grep build-aux/build-php.sh Makefile >/dev/null; then
    cp -p Makefile Makefile.ours
  fi
  AC_CONFIG_COMMANDS([phpize.mk], [
    if test -f Makefile.ours; then
      mv -f Makefile phpize.mk
      mv -f Makefile.ours Makefile
    fi
  ])
fi
