//! Workers: start, end, requests that take too long, output.

use super::messages;

messages! {
    /// A worker of the pool has started.
    [Fpm Notice Debug] child_started(pool, pid) = "[pool {pool}] child {pid} started",
        originally "child {pid} (pool {pool}) started",
        do "Nothing.";

    /// A worker of the pool has ended. Code 0 is regular (`pm.max_requests`, for instance); a signal such as SIGSEGV is a
    /// crash of PHP or of an extension.
    [Fpm Warning Notice Debug] child_exited(pool, pid, how, original_how, seconds) =
        "[pool {pool}] child {pid} {how} after {seconds} seconds from start",
        originally "child {pid} (pool {pool}) {original_how} after {seconds} seconds from start",
        do "After a crash, look for the script in the access log and update PHP and its extensions. Debian's PHP exits with code 137 when a script needs more memory than `memory_hard_limit_percent` of `memory_limit`.";

    /// `pm.process_idle_timeout` or `pm.max_spare_servers`: the pool has more idle workers than it needs.
    [Fpm Notice Debug] child_killed_by_management(pool, pid, seconds) =
        "[pool {pool}] child {pid} has been killed by the process management after {seconds} seconds from start",
        do "Nothing.";

    /// A request takes longer than `request_slowlog_timeout`. A trace of the script goes to the slow log.
    [Fpm Warning] executing_too_slow(pool, pid, script, request, seconds) =
        "[pool {pool}] child {pid}, script '{script}' (request: \"{request}\") executing too slow ({seconds} sec), logging",
        originally "child {pid}, script '{script}' (pool {pool}) executing too slow ({seconds} sec), logging",
        do "See the slow log for what the script was doing.";

    /// A request takes longer than `request_terminate_timeout`. The supervisor ends its worker.
    [Fpm Warning] execution_timed_out(pool, pid, script, request, seconds) =
        "[pool {pool}] child {pid}, script '{script}' (request: \"{request}\") execution timed out ({seconds} sec), terminating",
        originally "child {pid}, script '{script}' (pool {pool}) execution timed out ({seconds} sec), terminating",
        do "Make the script faster, or raise request_terminate_timeout for the pool.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_the_original_had_are_in_its_words_too() {
        let message = child_started("a b", 7);
        assert_eq!((message.text(), message.original()), ("[pool a b] child 7 started", "child 7 (pool a b) started"));
        let (today, before) =
            ("exited on signal 11 (SIGSEGV - core dumped)", "exited on signal 11 SIGSEGV (core dumped)");
        let message = child_exited("www", 7, today, before, "1.000000");
        assert_eq!(message.text(), format!("[pool www] child 7 {today} after 1.000000 seconds from start"));
        assert_eq!(message.original(), format!("child 7 (pool www) {before} after 1.000000 seconds from start"));
        let message = executing_too_slow("www", 7, "/a'b.php", "GET /a.php?", "5.018002");
        let original = "child 7, script '/a'b.php' (pool www) executing too slow (5.018002 sec), logging";
        assert_eq!(message.original(), original);
    }
}
