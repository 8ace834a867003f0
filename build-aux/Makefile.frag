# Part of the makefile of `phpize && ./configure` (see config.m4). It always runs cargo, which knows what has changed.

all build-modules: $(phplibdir)/cgi-fpm.so

$(phplibdir)/cgi-fpm.so: cgi-fpm-always
	cd $(srcdir) && PHP=$(PHP_EXECUTABLE) PHP_CONFIG=$(PHP_CONFIG) CARGO_TARGET_DIR=$(builddir)/target \
		$(CARGO) build --release --lib -p cgi-fpm --locked
	@mkdir -p $(phplibdir)
	cp $(builddir)/target/release/libcgi_fpm.so $@

.PHONY: cgi-fpm-always
cgi-fpm-always:

# The default configuration, and the directories that it names. A php-fpm.conf.default of php-fpm itself stays.
install: install-cgi-fpm-conf

cgi_fpm_place = $(INSTALL_ROOT)$(shell $(PHP_EXECUTABLE) -n -r 'echo PHP_$(1);')

install-cgi-fpm-conf:
	@$(mkinstalldirs) $(call cgi_fpm_place,SYSCONFDIR) $(call cgi_fpm_place,LOCALSTATEDIR)/run $(call cgi_fpm_place,LOCALSTATEDIR)/log
	@conf=$(call cgi_fpm_place,SYSCONFDIR)/php-fpm.conf.default; \
	if test -f $$conf && ! grep 'php-cgi --fpm' $$conf >/dev/null; then \
		echo "Leaving php-fpm's own:            $$conf"; \
	else \
		echo "Installing configuration:         $$conf"; \
		$(INSTALL_DATA) $(srcdir)/build-aux/php-fpm.conf.default $$conf; \
	fi

.PHONY: install-cgi-fpm-conf
