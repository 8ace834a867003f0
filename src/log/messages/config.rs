//! Reading a configuration: its files, and what is said about the file as a whole.

use super::errors::errors;
use super::messages;

messages! {
    /// A setting of the monitor, but there is no monitor.
    [Ours Warning] monitor_setting_unused(directive) = "{directive} has no effect without monitor.listen",
        do "Set `monitor.listen`, or remove the directive.";

    /// `monitor.mode`, `monitor.owner` and `monitor.group` are those of a unix socket, and `monitor.allowed_hosts` is for clients over TCP.
    [Ours Warning] monitor_setting_ineffective(directive, kind) = "{directive} has no effect: monitor.listen is {kind}",
        do "Remove the directive, or change `monitor.listen`.";

    /// A line of the configuration is refused; nothing is started. The reasons are listed in the next sections.
    [Fpm Error] line_refused(place, reason) = "{place} {reason}",
        do "Correct the line; `php-fpm -t` tests the file.";

    /// A line of an XML configuration is odd, or a setting in it has no effect. It does not stop the start.
    [Ours Warning] line_noted(place, reason) = "{place} {reason}",
        do "Correct the line, or ignore the message.";

    /// How to correct the mistake in the line before, or where to look for it. The hints are listed below.
    [Ours Notice] hint(place, hint) = "{place} hint: {hint}",
        do "Follow the hint.";

    /// A file of the configuration cannot be read.
    [Fpm Error] file_not_opened(path, reason) = "failed to open configuration file '{path}': {reason}",
        do "Correct the path (`-y`) or the mode of the file.";

    /// The configuration has a mistake, which the lines before say.
    [Fpm Error] file_refused(path) = "failed to load configuration file '{path}'",
        do "Correct what the lines before say.";

    /// The directives are understood, but do not fit together or cannot be put into effect. The lines before say why.
    [Fpm Error] rules_broken() = "failed to post process the configuration",
        do "Correct what the lines before say.";

    /// The prefix of `-p` is not a directory.
    [Fpm Error] prefix_missing(prefix) = "the global prefix '{prefix}' does not exist or is not a directory",
        do "Correct `-p`.";

    /// Files include each other, or too many levels of files are used.
    [Fpm Error] includes_too_deep() = "failed to include more than 5 files recursively",
        do "Remove the circle of includes, or put the files side by side.";

    /// An included file has a mistake, which the lines before say.
    [Fpm Error] file_not_included(path, by, line) = "Unable to include {path} from {by} at line {line}",
        do "Correct what the lines before say.";

    /// No file matches the pattern of an include.
    [Fpm Warning] nothing_to_include(pattern, by, line) =
        "Nothing matches the include pattern '{pattern}' from {by} at line {line}.",
        do "Correct the pattern, or ignore the message if the directory may be empty.";

    /// A directory in the pattern of an include cannot be read.
    [Fpm Error] include_unreadable(pattern, by, line) = "Unable to globalize '{pattern}' (ret=2) from {by} at line {line}.",
        do "Correct the pattern or the mode of the directory.";

    /// `-t`: the configuration has no mistakes.
    [Fpm Notice] test_successful(path) = "configuration file {path} test is successful",
        do "Nothing.";

    /// `-tt`: a line of the configuration with its defaults. Directives that php-fpm does not have are shown where they are set.
    [Fpm Notice] dumped(line) = "{line}",
        do "Nothing.";

    /// `--convert` is for XML files of the original php-fpm.
    [Ours Error] not_xml(path) = "{path} is not an XML file: it does not start with <",
        do "Name the XML file.";

    /// `--convert`: standard output cannot be written to.
    [Ours Error] conversion_not_written(reason) = "cannot write the ini file: {reason}",
        do "Read the reason, for example a full disk.";

    /// A directory that a path leads through belongs to a user who can replace what is in it.
    [Ours Warning] path_remark(remark) = "{remark}",
        do "Use a directory that only root can write to.";

    /// `access.log` and `access.format`: the format has a mistake. The line before says which.
    [Fpm Warning] access_format_wrong(reason) = "{reason}",
        do "Correct access.format; docs/configuration.md lists what it can contain.";

    /// An access log is opened.
    [Fpm Debug] access_log_opened(path) = "open access log ({path})",
        do "Nothing.";

    /// `systemd_interval` is set, and systemd's watchdog sets another interval.
    [Fpm Warning] systemd_interval_ignored() = "systemd_interval option ignored",
        do "Remove systemd_interval, or WatchdogSec= of the unit.";

    /// systemd's watchdog is on (WatchdogSec= of the unit). The supervisor reports at half of its time.
    [Fpm Notice] watchdog_configured(seconds) = "systemd watchdog configured to {seconds}sec",
        do "Nothing.";

    /// `pm.start_servers` is not set. The number between the minimum and the maximum of spare servers is used.
    [Fpm Notice] start_servers_chosen(pool, number) =
        "[pool {pool}] pm.start_servers is not set. It's been set to {number}.",
        do "Nothing, or set pm.start_servers.";

    /// `listen.backlog` is below -1.
    [Fpm Warning] backlog_raised(pool, given, used) =
        "[pool {pool}] listen.backlog({given}) was too low for the ondemand process manager. I updated it for you to {used}.",
        do "Correct listen.backlog.";

    /// `chroot` contains `$prefix`, but not at its start. The value is used as it is.
    [Fpm Error] prefix_not_at_start() = "'$prefix' must be use at the beginning of the value",
        do "Write $prefix at the start of the value.";

    /// The pool sets a directive that only root can put into effect.
    [Fpm Notice] needs_root(pool, directive) =
        "[pool {pool}] '{directive}' directive is ignored when FPM is not running as root",
        do "Remove the directive, or start php-fpm as root.";
}

errors! {
    /// Why `[global]`, or the configuration as a whole, is refused.
    pub enum GlobalError in GLOBAL_ERRORS;

    /// `log_limit` is too small.
    [Fpm Error] LogLimit { least: i32 } = "log_limit must be greater than {least}",
        names ["log_limit"],
        do "Set a higher number.";

    /// `process.max` is negative.
    [Fpm Error] ProcessMax = "process_max can't be negative",
        names ["process.max"],
        do "Set a number from 0 on; 0 means no limit.";

    /// `process.priority` is not a nice value.
    [Fpm Error] Priority = "process.priority must be included into [-19,20]",
        names ["process.priority"],
        do "Set a number from -19 to 20.";

    /// The file of `error_log` cannot be opened.
    [Fpm Error] ErrorLog { path: String, reason: String } = "failed to open error_log ({path}): {reason}",
        names ["error_log"],
        do "Create the directory, or correct its owner and mode.";

    /// `events.mechanism` names a mechanism that php-fpm does not have on Linux.
    [Fpm Error] Events { name: String } = "event mechanism '{name}' is not available on this system",
        do "Set epoll, poll or select, or remove the directive.";

    /// The user of `process.base_user` does not exist.
    [Ours Error] BaseUser { name: String } = "cannot get uid for process.base_user '{name}'",
        names ["process.base_user"],
        do "Correct the name, or create the user.";

    /// `process.base_user` is root.
    [Ours Error] BaseRoot = "process.base_user must be another user than root",
        names ["process.base_user"],
        do "Create a user for base zygotes, or remove the directive: then it is nobody.";

    /// `monitor.listen` is neither a path nor an address with a port.
    [Ours Error] MonitorListen { address: String } = "monitor.listen: '{address}' is neither a path nor an IP address with a port, such as 127.0.0.1:9253 or [::1]:9253",
        names ["monitor.listen"],
        do "Write the IP address in full, with its port; names of hosts are not looked up. A path contains a `/`.";

    /// `control.socket` is neither a path nor `no`.
    [Ours Error] ControlSocket { value: String } = "control.socket: '{value}' is neither a path nor 'no'",
        names ["control.socket"],
        do "Write a path, which contains a `/`, or `no`.";

    /// The path of the control socket is too long.
    [Ours Error] ControlPath { reason: String } = "control.socket: {reason}",
        names ["control.socket"],
        do "Use a shorter path.";

    /// The path of the monitor's socket is too long.
    [Ours Error] MonitorPath { reason: String } = "monitor.listen: {reason}",
        names ["monitor.listen"],
        do "Use a shorter path.";

    /// A name of `monitor.allowed_hosts` is none.
    [Ours Error] MonitorHost { host: String } = "monitor.allowed_hosts: '{host}' is not the name of a host, such as web1.example: write it without a scheme, a port and a path",
        names ["monitor.allowed_hosts"],
        do "Correct the name. Names are separated by commas.";

    /// The owner of the monitor's socket does not exist.
    [Ours Error] MonitorOwner { name: String } = "monitor.owner: there is no user '{name}'",
        names ["monitor.owner"],
        do "Correct the name, or create the user.";

    /// The group of the monitor's socket does not exist.
    [Ours Error] MonitorGroup { name: String } = "monitor.group: there is no group '{name}'",
        names ["monitor.group"],
        do "Correct the name, or create the group.";

    /// `monitor.mode` is not a number of octal digits.
    [Ours Error] MonitorMode { mode: String } = "monitor.mode: '{mode}' is not a mode, such as 0660",
        names ["monitor.mode"],
        do "Write three or four octal digits.";

    /// The configuration has no section of a pool.
    [Fpm Error] NoPool = "No pool defined. at least one pool section must be specified in config file",
        do "Add a pool, or correct the `include` that leads to the pools.";
}
