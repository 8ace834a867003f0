/* php-fpm's command line, served by cgi-fpm: becomes `php-cgi --fpm ARGUMENTS` of the prefix that this file lies in (exec: the
 * process id stays). With PHP_CGI in the environment: what build-aux/php-fpm.sh says.
 *
 * No shell stands here, for it would hand the environment on in another order and with a PWD of its own, and scripts see that
 * where clear_env = no.
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOFTWARE = 70 };

int main(int argc, char **argv)
{
	char self[PATH_MAX], program[PATH_MAX + 32];
	const char *php_cgi = getenv("PHP_CGI"), *prefix;
	char **arguments = calloc((size_t) argc + 2, sizeof(*arguments));
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0 || arguments == NULL) {
		perror("php-fpm: cannot find the directory that it lies in");
		return SOFTWARE;
	}
	self[length] = '\0';
	prefix = dirname(dirname(self));

	if (php_cgi != NULL && *php_cgi != '\0') {
		snprintf(program, sizeof(program), "%s/libexec/php-fpm-preload", prefix);
		argv[0] = program;
		execv(program, argv);
		perror(program);
		return SOFTWARE;
	}

	unsetenv("PHP_CGI");
	snprintf(program, sizeof(program), "%s/bin/php-cgi", prefix);
	arguments[0] = program;
	arguments[1] = "--fpm";
	if (argc > 1) {
		memcpy(arguments + 2, argv + 1, ((size_t) argc - 1) * sizeof(*arguments));
	}
	execv(program, arguments);
	fprintf(stderr, "php-fpm: no program %s; PHP_CGI=/usr/bin/php-cgi8.2 would use an unpatched one\n", program);
	return SOFTWARE;
}
