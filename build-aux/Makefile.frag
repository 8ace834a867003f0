# Goes into the makefile of `phpize && ./configure` (see config.m4). cargo knows best what has changed: always ask it.

all build-modules: $(phplibdir)/cgi-fpm.so

$(phplibdir)/cgi-fpm.so: cgi-fpm-always
	cd $(srcdir) && PHP=$(PHP_EXECUTABLE) PHP_CONFIG=$(PHP_CONFIG) CARGO_TARGET_DIR=$(builddir)/target \
		$(CARGO) build --release --lib -p cgi-fpm --locked
	@mkdir -p $(phplibdir)
	cp $(builddir)/target/release/libcgi_fpm.so $@

.PHONY: cgi-fpm-always
cgi-fpm-always:
