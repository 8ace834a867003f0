//! One system call, one small safe function. With `php`, the only place where `unsafe` may live.
