//! Reload (SIGUSR2) and graceful stop.

use super::messages;

messages! {
    /// SIGUSR2 or `php-fpm reload`: the new program and configuration are being checked.
    [Fpm Notice] reloading() = "Reloading in progress ...",
        do "Nothing.";

    /// The reload of a group can't begin, because three of its former generations still finish requests. It begins when one of
    /// them has ended. Other groups are not affected.
    [Ours Notice] group_waits(group) = "[group {group}] reload waits: three generations still finish their requests",
        do "Nothing. `process.drain_patience` ends the wait. To end requests that take too long, set process_control_timeout.";

    /// Three generations of a group have kept a reload of it waiting for `process.drain_patience`. The workers of the oldest one
    /// get SIGTERM, and SIGKILL a second later.
    [Ours Warning] patience_over(group, generation) =
        "[group {group}] a reload has waited too long for the requests of generation {generation}: its workers are ended",
        do "Find out why these requests take so long: request_slowlog_timeout shows where they are. Or raise process.drain_patience.";

    /// The memory file with the requests of control commands cannot be read. The requests are lost.
    [Ours Error] requests_not_read(reason) = "cannot read the requests of php-fpm's commands: {reason}",
        do "Reload with SIGUSR2.";

    /// A newer `php-fpm reload` asks for something that the running supervisor does not know.
    [Ours Warning] requests_not_understood(count) = "{count} requests of php-fpm's commands are not understood, and ignored",
        do "If php-fpm was upgraded, reload everything with `php-fpm reload`.";

    /// `php-fpm status` has asked for the table of groups, but there is no memory or descriptor for it.
    [Ours Warning] groups_not_told(reason) = "cannot write the table of groups for php-fpm status: {reason}",
        do "The reason is that of the system: free memory, or raise its limits.";

    /// `php-fpm reload NAME…`: there is no such pool or group, neither running nor in the configuration. Nothing is reloaded.
    [Ours Error] unknown_names(names, known) = "no pool or group has the name {names}; there are: {known}",
        do "Use one of the names.";

    /// The check of `php-fpm reload --changed` cannot tell the supervisor what has changed.
    [Ours Error] changes_not_told(reason) = "cannot tell which groups have changed: {reason}; all count as changed",
        do "See what the reason names, such as a full disk or memory that is short.";

    /// `php-fpm reload --changed`: the group's PHP was started with another version of this file, such as php.ini or an extension.
    [Ours Notice] file_changed(group, path) = "[group {group}] {path} has changed since the group's PHP was started",
        do "Nothing.";

    /// `php-fpm reload NAME…`: these pools, or `[global]`, are different in the configuration file, but are not among the names.
    [Ours Notice] differences_wait(names) = "changed in the configuration, but not reloaded: {names}",
        do "Reload them, too, or everything with `php-fpm reload`.";

    /// `php-fpm reload --changed` has found nothing to do.
    [Ours Notice] nothing_changed() = "no group has changed: nothing is reloaded",
        do "Nothing.";

    /// The program, its library or the configuration was replaced while it was checked.
    [Ours Notice] checked_again() = "the program or its configuration changed during the check: checked once more",
        do "Nothing.";

    /// A line that the failed check of a reload has written. After the last of these lines comes `reload refused: …`.
    [Ours Error] check_said(text) = "reload check: {text}",
        do "Correct what the line names, and reload again.";

    /// The check of the new program has taken more than 30 seconds and is killed. The present generation goes on.
    [Ours Error] check_timed_out() = "reload refused: the check of the new program did not end in time",
        do "See what reading the configuration waits for, such as a file system that does not answer, and reload again.";

    /// The check of the new program could not be started. The present generation goes on.
    [Ours Error] check_not_started(reason) = "reload refused: the check could not be started: {reason}",
        do "The reason is that of the system: free memory, or raise its limits, and reload again.";

    /// The new program refuses the configuration, or cannot take over. The present generation goes on.
    [Ours Error] check_failed(how) =
        "reload refused: the check of the new configuration and program {how}; nothing has changed",
        do "The lines before say why. Correct that, and reload again.";

    /// The supervisor executes the new program, which takes over. Requests go on.
    [Fpm Notice] executing(program, arguments) = "reloading: execvp(\"{program}\", {arguments})",
        do "Nothing.";

    /// The new program could not be executed. The present generation goes on.
    [Ours Error] not_executed(reason) = "failed to reload: execvp() failed: {reason}; nothing has changed",
        do "Correct what the reason names, and reload again.";

    /// The new program has taken over, but cannot start the next generation. The present one goes on.
    [Ours Error] next_generation_failed(reason) = "reload failed: {reason}; the present generation serves on",
        do "Correct what the reason names, and reload again.";

    /// A group could not start with the new configuration. It keeps the former one; other groups are not affected. The reason `it changes
    /// together with group …, which could not start` names the group whose reason counts: the two exchange a pool or an address.
    [Ours Error] group_keeps(group, reason, generation) =
        "[group {group}] reload failed: {reason}; its generation {generation} serves on",
        do "Correct what the reason names, and reload again.";

    /// A group of the new configuration could not start, or one that changes together with it. Its pools are still in the group
    /// that they were in, which keeps the former configuration.
    [Ours Error] group_not_formed(group, reason, generation, former) =
        "[group {group}] reload failed: {reason}; generation {generation} of group {former} serves on",
        do "Correct what the reason names, and reload again.";

    /// A group of the new configuration could not start, and the groups that change together with it keep the former one.
    [Ours Error] group_not_added(group, reason) = "[group {group}] reload failed: {reason}; it is not started",
        do "Correct what the reason names, and reload again.";

    /// A group could not start, and there is no former generation of it that serves. It is tried again, at least every 30 seconds.
    /// Other groups are not affected. The line comes again when the reason changes.
    [Ours Error] group_not_started(group, reason) = "[group {group}] could not be started: {reason}; it is tried again",
        do "Correct what the reason names. If it is the configuration, reload.";

    /// No group could start, or with `process.start_failure = stop` one could not: php-fpm exits. This is the reason of one group.
    [Ours Error] group_cannot_start(group, reason) = "[group {group}] could not be started: {reason}",
        do "Correct what the reason names.";

    /// A group serves that was late, or that could not start before.
    [Ours Notice] group_serves(group, generation) = "[group {group}] generation {generation} serves",
        do "Nothing.";

    /// None of the groups that were to be reloaded could change: all groups, or with `php-fpm reload NAME…` and
    /// `php-fpm reload --changed` some of them. They keep the former configuration. The line names the first five.
    [Ours Error] no_group_changed(groups) = "reload failed: could not change {groups}",
        do "The lines before say why. Correct that, and reload again.";

    /// The check of a reload: the new program does not understand the state of the running one.
    [Ours Error] state_refused(reason) = "can't carry on from the running supervisor's state: {reason}",
        do "Restart php-fpm instead of reloading it.";

    /// The new program does not understand the state that the former one has handed over. It exits.
    [Ours Error] state_unusable(reason) = "can't carry on from the former supervisor's state: {reason}",
        do "Start php-fpm again.";

    /// A graceful stop was asked for and begins after `shutdown_delay`. Until then requests are served.
    [Ours Notice] stop_delayed(seconds) = "Finishing in {seconds} seconds; ping answers 503 from now on",
        do "Nothing.";

    /// SIGQUIT, or SIGTERM with `on_sigterm = graceful`: workers finish their requests, then the supervisor exits.
    [Fpm Notice] finishing() = "Finishing ...",
        do "Nothing.";

    /// SIGTERM or SIGINT: running requests are terminated, then the supervisor exits.
    [Fpm Notice] terminating() = "Terminating ...",
        do "Nothing.";
}
