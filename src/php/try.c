/* zend_try in a function, for Rust, which has no setjmp: keeps PHP's longjmp within the frames it started from. */
#include <setjmp.h>

/* Runs f(arg). Returns 0 when it came back, 1 when it left by PHP's bailout. `bailout` is EG(bailout). */
int cgi_fpm_try(sigjmp_buf **bailout, void (*f)(void *), void *arg)
{
	sigjmp_buf here;
	sigjmp_buf *const outer = *bailout;
	int left = 1;

	*bailout = &here;
	if (sigsetjmp(here, 0) == 0) {
		f(arg);
		left = 0;
	}
	*bailout = outer;
	return left;
}
