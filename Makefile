# cgi-fpm: `make help` lists the targets. The work is done by the scripts in build-aux/.
#
# `phpize && ./configure` writes its own makefile as phpize.mk (see config.m4) and takes over from here.
ifneq ($(wildcard config.status),)
include phpize.mk
else

# Settings, all given as in `make PHP=8.4`. Plain `=`: the environment does not change them by accident
# (PHP means something else to ext-php-rs).
PHP     = 8.2
PHP_SRC =
CACHE   =
PREFIX  = /usr/local
DESTDIR =
PORT    = 8080
DOOR    = patched
TESTS   =
T       = 60
FUZZ    =
SEED    =
SCALE   =
QUICK   =
MARKDOWN =
BENCH   =

build  := $(CURDIR)/build
prefix := $(build)/php-$(PHP)

# Passes only variables that are set, so that a script keeps its own defaults.
given = $(if $(PHP_SRC),PHP_SRC='$(PHP_SRC)') $(if $(CACHE),CACHE='$(CACHE)')

.PHONY: all php test style unit process phpt bench chaos fuzz run install clean help
.NOTPARALLEL:

all: php
	@build-aux/build-cdylib.sh $(PHP)
	@echo "php-cgi --fpm, PHP $(PHP): $(prefix)/bin/php-cgi and, as php-fpm, $(prefix)/sbin/php-fpm"

# PHP alone, without the cdylib.
php:
	@$(given) build-aux/build-php.sh $(PHP)

# Everything, or one stage of it.
test: all
	@build-aux/test.sh $(PHP)

style: all
	@build-aux/test.sh $(PHP) style

unit:
	@build-aux/test.sh $(PHP) unit

process: all
	@build-aux/test.sh $(PHP) process

phpt: all
	@tests-phpt/run --php $(PHP) $(TESTS)

bench: all
	@build-aux/bench.sh $(PHP) $(if $(QUICK),--quick) $(if $(SCALE),--scale) $(if $(MARKDOWN),--markdown) $(BENCH)

# As root: pools under load, while everything that may go wrong goes wrong, for T seconds. SEED=N makes the same choices again.
chaos: all
	@build-aux/chaos.sh $(PHP) $(T) $(SEED)

# Runs each target for T seconds; FUZZ='records conf' runs these only.
fuzz:
	@build-aux/fuzz.sh $(T) $(FUZZ)

run:
	@$(given) DOOR='$(DOOR)' PORT='$(PORT)' build-aux/run.sh $(PHP)

install: all
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' build-aux/install.sh $(PHP)

# Keeps the cache of built PHPs.
clean:
	rm -rf build target

help:
	@echo "make                PHP $(PHP), patched, and cgi-fpm.so, in build/php-$(PHP)"
	@echo "make run            nginx on 127.0.0.1:$(PORT) in front of php-cgi --fpm; Ctrl-C stops both"
	@echo "make run DOOR=stock the same with Debian's php-cgi8.2; builds no PHP"
	@echo "make test           style, unit and process tests, and php-src's fpm tests as root and as a user"
	@echo "                    (single stages: make style, unit, process; make phpt TESTS='status-*.phpt')"
	@echo "make bench          compares with the php-fpm of the same build: CPU, latency, system calls, memory (15 minutes)"
	@echo "make bench QUICK=1  the same with fewer cases and rounds (2 minutes); MARKDOWN=1: a short table;"
	@echo "                    BENCH='--only TCP --rounds 3': options of the bench (see CONTRIBUTING.md)"
	@echo "make bench SCALE=1  as root: the same for many clients, and for 50, 200 and 600 pools"
	@echo "make chaos T=600    as root: kills, reloads, changes and attacks under load for T seconds (SEED=N: the same choices again)"
	@echo "make fuzz T=60      runs each fuzz target for T seconds (FUZZ='conf xml': these only)"
	@echo "make install        installs into PREFIX=$(PREFIX) (with DESTDIR in front, if set)"
	@echo "make clean          removes build/ and target/; keeps the cache of built PHPs"
	@echo "Settings: PHP=8.2|8.4, PHP_SRC=DIR|TARBALL, CACHE=DIR, PORT=8080, DOOR=patched|stock"

endif
