//! Messages on a terminal: before there is a log, and of commands that do not serve.

use super::{messages, texts};

messages! {
    /// `-v`, `-i` or `-m`: PHP cannot be started.
    [Ours Error] cannot_start_php(reason) = "cannot start PHP: {reason}",
        do "Correct php.ini, or run with `-n`.";

    /// `-v`, `-i` or `-m` with `--pool`: the configuration has no such pool.
    [Ours Error] no_such_pool(pool, file) = "there is no pool '{pool}' in {file}",
        do "Correct the name, or name the configuration file with `-y`.";

    /// The option `--fpm-role=zygote` was given by hand.
    [Ours Error] zygote_by_hand(reason) = "only the supervisor starts zygotes: {reason}",
        do "Remove the option.";
}

texts! {
    /// `php-fpm health` has an option that it does not know, or a value that is no number. The exit status is 3.
    [Ours Stderr] health_option_wrong(what) =
        "health: {what}; it takes --live, --ready, --pool NAME, -v, and the options of php-fpm-healthcheck, such as --listen-queue=10",
        do "Correct the command.";

    /// `php-fpm top` has an option that it does not know. The exit status is 3.
    [Ours Stderr] top_option_wrong(what) = "top: {what}; it takes --pool NAME, --once and --json",
        do "Correct the command.";

    /// `php-fpm top` was asked about a pool that does not exist. The exit status is 8.
    [Ours Stderr] no_such_pool_to_show(pool, pools) = "top: the monitor knows no pool {pool}; there are {pools}",
        do "Correct the name of the pool.";

    /// `php-fpm top` cannot draw on the terminal. The exit status is 9.
    [Ours Stderr] cannot_draw(reason) = "top: the terminal cannot be used: {reason}",
        do "Run `php-fpm top --once`.";

    /// `php-fpm health` and `php-fpm top` need the monitor. The exit status is 8.
    [Ours Stderr] no_monitor_to_ask(command, file) = "{command}: {file} sets no monitor.listen",
        do "Set `monitor.listen`, and reload.";

    /// The monitor cannot be reached or does not answer in a second. The exit status is 111 if nothing listens, and otherwise 9.
    [Ours Stderr] monitor_not_reached(command, address, reason) = "{command}: the monitor at {address} does not answer: {reason}",
        do "See whether php-fpm runs, and whether its log says why the monitor does not.";

    /// Another program listens at the address of the monitor. The exit status is 8.
    [Ours Stderr] no_monitor_there(command, address) = "{command}: what listens at {address} is no monitor, or one of an earlier version",
        do "See which program has the address, or correct `monitor.listen`. After an upgrade, reload.";

    /// `php-fpm health` was asked about a pool that does not exist. The exit status is 8.
    [Ours Stderr] no_such_pool_to_check(pool) = "health: the monitor knows no pool {pool}",
        do "Correct the name of the pool.";

    /// A value of a pool is higher than it may be. The exit status is 1.
    [Ours Stderr] metric_too_high(pool, option, value, most) = "health: pool {pool}: {option} is {value}, more than {most}",
        do "See what the pool does, for example by its status page.";

    /// With `-v`: a value that is not too high.
    [Ours Stdout] metric_value(pool, option, value, most) = "pool {pool}: {option} is {value}, at most {most}",
        do "Nothing.";

    /// `php-fpm cache` or `php-fpm opcache` has a word or an option that it does not know. The exit status is 64.
    [Ours Stderr] cache_option_wrong(what) =
        "{what}; the commands are: cache clear, opcache reset; they take --pool NAME, which may be repeated, and --json",
        do "Correct the command.";

    /// `php-fpm cache` and `php-fpm opcache` need the control socket. The exit status is 6.
    [Ours Stderr] no_control_socket() = "the configuration has no control socket: control.socket is no, or there is neither it nor a pid file",
        do "Set `control.socket` to a path, and reload.";

    /// The control socket cannot be reached. The exit status is 1, or 4 if this user may not.
    [Ours Stderr] control_socket_not_reached(path, reason) = "cannot ask php-fpm over its control socket {path}: {reason}",
        do "Ask as root or as the user of the main process. If `control.socket` has changed, reload first. An older php-fpm has no control socket: reload, so that the new program runs.";

    /// The names of pools are too long together.
    [Ours Stderr] control_request_too_long() = "the request has more than 64 KiB; nothing was done",
        do "Name fewer pools, or none for all.";

    /// What was asked for failed in this group. The exit status is 1.
    [Ours Stderr] group_failed(group, reason) = "{group}: {reason}",
        do "See the log.";

    /// The group sleeps: all its pools are ondemand, and it has had no connection for long. So it has no opcode cache.
    [Ours Stdout] group_asleep(group) = "{group}: sleeps, so it has no opcode cache",
        do "Nothing.";

    /// `php-fpm cache clear` is done for these pools.
    [Ours Stdout] file_caches_cleared(pools) = "{pools}: each worker clears its caches before its next request",
        do "Nothing.";

    /// `php-fpm opcache reset` is done for this group.
    [Ours Stdout] opcache_is_new(group) = "{group}: new processes serve, with a new opcode cache",
        do "Nothing.";

    /// The environment is that of a CGI request: a web server has started php-cgi for a request whose query string became
    /// the command line. Nothing is started (CVE-2012-1823).
    [Ours Stderr] refused_in_a_cgi_environment() =
        "php-cgi --fpm: refused, the environment is that of a CGI request",
        do "Start php-fpm from a shell or an init system, not by a web server. Unset GATEWAY_INTERFACE and SERVER_SOFTWARE.";

    /// The library does not know the file that it was loaded from.
    [Ours Stderr] own_library_not_found() = "php-cgi --fpm: cannot find its own library",
        do "Check that the library was loaded from a file that still exists.";

    /// `LD_PRELOAD` puts the library into a program that is not php-cgi.
    [Ours Stderr] host_is_not_php() =
        "php-cgi --fpm: this program is not PHP, or does not export PHP's symbols: cgi-fpm needs php-cgi",
        do "Preload the library into php-cgi.";

    /// cgi-fpm needs a PHP without thread safety.
    [Ours Stderr] host_is_thread_safe() =
        "php-cgi --fpm: this PHP is built with thread safety (ZTS), which cgi-fpm does not support",
        do "Use a PHP that is built without --enable-zts.";

    /// One of PHP and cgi-fpm is built in debug mode, the other is not.
    [Ours Stderr] host_in_another_mode(built, host) =
        "php-cgi --fpm: this cgi-fpm is built for a PHP {built} --enable-debug, the host is one {host} it",
        do "Build cgi-fpm against the php-cgi that loads it.";

    /// The library is built for another PHP version.
    [Ours Stderr] host_has_another_api(number, version, host) =
        "php-cgi --fpm: this cgi-fpm is built for PHP API {number} (PHP {version}), the host has {host}",
        do "Install the cgi-fpm that belongs to this PHP.";

    /// The same with `LD_PRELOAD`: a php-cgi without the patch tells only its version.
    [Ours Stderr] host_has_another_version(version, host) =
        "php-cgi --fpm: this cgi-fpm is built for PHP {version}, the host is PHP {host}",
        do "Install the cgi-fpm that belongs to this PHP.";

    /// PHP does not export a symbol that cgi-fpm needs.
    [Ours Stderr] host_lacks_a_symbol(name) = "php-cgi --fpm: this PHP lacks the symbol '{name}', which cgi-fpm needs",
        do "Use a php-cgi that is linked with -export-dynamic and not stripped of its dynamic symbols.";

    /// `php-fpm start`: the program is being started.
    [Fpm Stdout] starting() = "Starting php-fpm",
        do "Wait.";

    /// `php-fpm stop`: running requests are terminated, or finished with `on_sigterm = graceful`; then the supervisor exits.
    [Ours Stdout] stopping() = "Shutting down php-fpm",
        do "Wait.";

    /// `php-fpm quit`: requests are finished, then the supervisor ends.
    [Fpm Stdout] quitting() = "Gracefully shutting down php-fpm",
        do "Wait.";

    /// `php-fpm reload`: the supervisor checks the new configuration and starts a new generation.
    [Fpm Stdout] reload_requested() = "Reload service php-fpm",
        do "Wait.";

    /// `php-fpm logrotate`: the supervisor opens its logs again.
    [Ours Stdout] reopening() = "Re-opening php-fpm log file",
        do "Wait.";

    /// The command has done its work.
    [Fpm Stdout] done() = " done",
        do "Nothing.";

    /// The command has failed. The reason follows on standard error.
    [Fpm Stdout] failed() = " failed",
        do "Read the reason.";

    /// The signal is sent, but its result is unknown.
    [Ours Stdout] sent() = " sent",
        do "See the error log.";

    /// `php-fpm start`: there is nothing to do.
    [Ours Stdout] already_running(pid) = "php-fpm is running already, pid {pid}",
        do "Nothing.";

    /// `php-fpm stop` and `quit`: there is nothing to do.
    [Ours Stdout] not_running() = "php-fpm is not running",
        do "Nothing.";

    /// `php-fpm status`.
    [Ours Stdout] running(pid) = "php-fpm is running, pid {pid}",
        do "Nothing.";

    /// `php-fpm status`.
    [Fpm Stdout] stopped() = "php-fpm is stopped",
        do "Start it if it should run.";

    /// `php-fpm status`: the process of the pid file has ended, or is another program.
    [Ours Stdout] stopped_with_pid_file(path) = "php-fpm is stopped, although there is a pid file {path}",
        do "See the error log for why it ended. The next start replaces the file.";

    /// The control script finds php-fpm by its pid file only.
    [Ours Stderr] no_pid_file() = "no pid file is configured: set pid in [global], or name one with -g",
        do "Set `pid`.";

    /// The pid file cannot be read.
    [Ours Stderr] pid_file_not_read(path, reason) = "cannot read the pid file {path}: {reason}",
        do "Run the command as root, or correct the mode of the file.";

    /// `php-fpm reload` and `logrotate` need a php-fpm that runs.
    [Ours Stderr] no_process() = "the process of the pid file does not exist: php-fpm is not running",
        do "Start php-fpm.";

    /// The supervisor cannot be signalled.
    [Ours Stderr] not_signalled(pid, reason) = "cannot signal process {pid}: {reason}",
        do "Run the command as root, or as the user that started php-fpm.";

    /// `php-fpm reload NAME…` and `--changed`: the supervisor is php-fpm's master process, or an earlier version of cgi-fpm. Nothing
    /// was reloaded.
    [Ours Stderr] no_requests() = "this php-fpm cannot reload a part; nothing was reloaded",
        do "Reload everything with `php-fpm reload`.";

    /// `php-fpm reload NAME…`: the names are more than 64 KiB, or too many requests wait. Nothing was reloaded.
    [Ours Stderr] request_too_long() = "too many names, or too many requests wait; nothing was reloaded",
        do "Use `php-fpm reload --changed`, or reload everything.";

    /// `php-fpm reload NAME…` and `--changed`: the request cannot be written. Nothing was reloaded.
    [Ours Stderr] not_requested(reason) = "cannot write the request: {reason}; nothing was reloaded",
        do "Try again, or reload everything.";

    /// `php-fpm stop`: the supervisor has not ended after 60 seconds.
    [Ours Stderr] still_running(pid) = "process {pid} has not ended in time",
        do "See the error log; `kill -9` ends it as a last resort.";

    /// The supervisor ended while the control script waited for it to confirm.
    [Ours Stderr] ended_early(pid) = "process {pid} has ended",
        do "See the error log.";

    /// The supervisor has neither confirmed nor refused: 180 seconds after the last progress of a reload, after 30 seconds for
    /// `logrotate`.
    [Ours Stderr] timed_out() = "timed out waiting for php-fpm to confirm; see its log",
        do "See the error log.";

    /// The supervisor that runs does not report results: it is php-fpm's master process, or an early version of cgi-fpm.
    [Ours Stderr] not_reported() = "this php-fpm does not report the result; see its log",
        do "See the error log.";

    /// `php-fpm reload`: some groups could not change. A line for each of them follows, with the reason. All others run with the
    /// new configuration.
    [Ours Stderr] failed_groups(failed, all) = "failed: {failed} of {all} groups keep what they had:",
        do "Correct what the lines name, and reload again.";

    /// The end of that list, if it is too long. The error log has a line for each group.
    [Ours Stderr] more_failed_groups(count) = "... and {count} more groups; see the log",
        do "See the error log.";

    /// `php-fpm reload`: three generations of these groups still finish requests. They change when one of them has ended, or after
    /// `process.drain_patience`.
    [Ours Stderr] late_groups(groups) = "these groups change later, since three generations still finish requests: {groups}",
        do "Nothing. To end requests that take too long, set process_control_timeout.";

    /// `php-fpm start`: the program has ended, because no group of pools could start (with `process.start_failure = stop`: because one
    /// could not); or a group has neither started nor failed in 65 seconds.
    [Ours Stderr] not_started() = "php-fpm did not start; see its log",
        do "Read the lines before, and the error log.";

    /// `php-fpm start`: php-cgi cannot be executed.
    [Ours Stderr] program_not_executed(path, reason) = "cannot execute {path}: {reason}",
        do "Check that php-cgi is installed.";

    /// `php-fpm restart`: the configuration is refused. The lines before say why.
    [Ours Stderr] not_restarted() =
        "not restarted: the configuration is refused, and php-fpm continues to run with the old one",
        do "Correct the configuration.";
}
