/* zend_try as a function: Rust has no setjmp. A longjmp of PHP ends here, and skips only the frames of f. */
#include <setjmp.h>

/* Runs f(arg). Returns 0 if it returned, 1 if a bailout aborted it. `bailout` is EG(bailout). */
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
