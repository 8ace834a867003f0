//! Rules of a pool that its configuration breaks.

use super::errors::errors;

errors! {
    /// Why a pool is refused.
    pub enum PoolError in POOL_ERRORS;

    /// `prefix` is not a directory.
    [Fpm Error] Prefix { pool: String, path: String } =
        "[pool {pool}] the prefix '{path}' does not exist or is not a directory",
        names ["prefix"],
        do "Create the directory, or correct `prefix`.";

    /// php-fpm is started as root, and the pool has no user.
    [Fpm Alert] NoUser { pool: String } = "[pool {pool}] user has not been defined",
        names ["user"],
        do "Set `user`; `-R` allows pools that run as root.";

    /// The pool has no address.
    [Fpm Alert] NoListen { pool: String } = "[pool {pool}] no listen address have been defined!",
        names ["listen"],
        do "Set `listen`.";

    /// `process.priority` is not a nice value.
    [Fpm Error] Priority { pool: String } = "[pool {pool}] process.priority must be included into [-19,20]",
        names ["process.priority"],
        do "Set a number from -19 to 20.";

    /// The pool does not set `pm`.
    [Fpm Alert] NoManager { pool: String } =
        "[pool {pool}] the process manager is missing (static, dynamic or ondemand)",
        do "Set `pm`.";

    /// `pm.max_children` is not set, or below 1.
    [Fpm Alert] MaxChildren { pool: String } = "[pool {pool}] pm.max_children must be a positive value",
        names ["pm.max_children"],
        do "Set pm.max_children.";

    /// `pm = dynamic` needs `pm.min_spare_servers`.
    [Fpm Alert] MinSpare { pool: String, min: i32 } =
        "[pool {pool}] pm.min_spare_servers({min}) must be a positive value",
        names ["pm.min_spare_servers"],
        do "Set pm.min_spare_servers.";

    /// `pm = dynamic` needs `pm.max_spare_servers`.
    [Fpm Alert] MaxSpare { pool: String, max: i32 } =
        "[pool {pool}] pm.max_spare_servers({max}) must be a positive value",
        names ["pm.max_spare_servers"],
        do "Set pm.max_spare_servers.";

    /// More spare workers are wanted than the pool may have.
    [Fpm Alert] TooManySpare { pool: String, min: i32, max: i32, most: i32 } =
        "[pool {pool}] pm.min_spare_servers({min}) and pm.max_spare_servers({max}) cannot be greater than pm.max_children({most})",
        names ["pm.max_children", "pm.min_spare_servers", "pm.max_spare_servers"],
        do "Lower the numbers of spare servers, or raise pm.max_children.";

    /// The maximum of spare workers is below the minimum.
    [Fpm Alert] SpareOrder { pool: String, min: i32, max: i32 } =
        "[pool {pool}] pm.max_spare_servers({max}) must not be less than pm.min_spare_servers({min})",
        names ["pm.min_spare_servers", "pm.max_spare_servers"],
        do "Raise pm.max_spare_servers, or lower pm.min_spare_servers.";

    /// `pm.start_servers` is not between the minimum and the maximum of spare workers.
    [Fpm Alert] StartServers { pool: String, start: i32, min: i32, max: i32 } =
        "[pool {pool}] pm.start_servers({start}) must not be less than pm.min_spare_servers({min}) and not greater than pm.max_spare_servers({max})",
        names ["pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers"],
        do "Correct pm.start_servers, or remove it.";

    /// `pm.max_spawn_rate` is below 1.
    [Fpm Alert] SpawnRate { pool: String } = "[pool {pool}] pm.max_spawn_rate must be a positive value",
        names ["pm.max_spawn_rate"],
        do "Set a number from 1 on, or remove the directive.";

    /// `pm = ondemand` and an `events.mechanism` other than epoll.
    [Fpm Alert] OndemandEvents { pool: String } =
        "[pool {pool}] ondemand process manager can ONLY be used when events.mechanism is either epoll (Linux) or kqueue (*BSD).",
        do "Remove events.mechanism.";

    /// `pm.process_idle_timeout` is below 1 s.
    [Fpm Alert] IdleTimeout { pool: String, idle: i32 } =
        "[pool {pool}] pm.process_idle_timeout({idle}s) must be greater than 0s",
        names ["pm.process_idle_timeout"],
        do "Set a time from 1s on.";

    /// `pm.status_path` or `ping.path` is not an absolute path.
    [Fpm Error] PageRelative { pool: String, page: OwnPage, path: String } =
        "[pool {pool}] the {page} path '{path}' must start with a '/'",
        do "Write the path with a slash in front.";

    /// `pm.status_path` or `ping.path` is `/`.
    [Fpm Error] PageShort { pool: String, page: OwnPage, path: String } =
        "[pool {pool}] the {page} path '{path}' is not long enough",
        do "Write a path such as /status.";

    /// `pm.status_path` or `ping.path` contains other characters.
    [Fpm Error] PageCharacters { pool: String, page: OwnPage, path: String } =
        "[pool {pool}] the {page} path '{path}' must contain only the following characters '[alphanum]/_-.~'",
        do "Write a path of these characters.";

    /// `ping.response` is set to nothing.
    [Fpm Error] PingResponse { pool: String } = "[pool {pool}] the ping response page '' is not long enough",
        names ["ping.response"],
        do "Set a text, or remove the directive.";

    /// A time for slow requests is set, but no file for their traces.
    [Fpm Error] NoSlowlog { pool: String } =
        "[pool {pool}] 'slowlog' must be specified for use with 'request_slowlog_timeout'",
        names ["slowlog", "request_slowlog_timeout"],
        do "Set `slowlog`, or remove request_slowlog_timeout.";

    /// The file of `slowlog` cannot be opened.
    [Fpm Error] SlowlogNotOpened { path: String, reason: String } = "Unable to create or open slowlog({path}): {reason}",
        names ["slowlog"],
        do "Create the directory, or correct its owner and mode.";

    /// A request would be terminated before it counts as slow.
    [Fpm Error] SlowAfterEnd { pool: String, slow: i32, end: i32 } =
        "[pool {pool}] 'request_slowlog_timeout' ({slow}) can't be greater than 'request_terminate_timeout' ({end})",
        names ["request_slowlog_timeout", "request_terminate_timeout"],
        do "Lower request_slowlog_timeout.";

    /// The depth of traces is set, but no file for them.
    [Fpm Error] DepthWithoutSlowlog { pool: String } =
        "[pool {pool}] 'slowlog' must be specified for use with 'request_slowlog_trace_depth'",
        names ["slowlog", "request_slowlog_trace_depth"],
        do "Set `slowlog`, or remove request_slowlog_trace_depth.";

    /// The depth of traces is negative.
    [Fpm Error] TraceDepth { pool: String, depth: i32 } =
        "[pool {pool}] 'request_slowlog_trace_depth' ({depth}) must be a positive value",
        names ["request_slowlog_trace_depth"],
        do "Set a number from 1 on; 0 means 20.";

    /// `chroot` is not absolute.
    [Fpm Error] ChrootRelative { pool: String, path: String } =
        "[pool {pool}] the chroot path '{path}' must start with a '/'",
        names ["chroot"],
        do "Write an absolute path.";

    /// `chroot` is not a directory.
    [Fpm Error] ChrootMissing { pool: String, path: String } =
        "[pool {pool}] the chroot path '{path}' does not exist or is not a directory",
        names ["chroot"],
        do "Create the directory, or correct `chroot`.";

    /// `chdir` is not absolute.
    [Fpm Error] ChdirRelative { pool: String, path: String } =
        "[pool {pool}] the chdir path '{path}' must start with a '/'",
        names ["chdir"],
        do "Write an absolute path.";

    /// `chdir` is not a directory.
    [Fpm Error] ChdirMissing { pool: String, path: String } =
        "[pool {pool}] the chdir path '{path}' does not exist or is not a directory",
        names ["chdir"],
        do "Create the directory, or correct `chdir`.";

    /// `chdir` is not a directory inside the root that `chroot` sets.
    [Fpm Error] ChdirOutsideChroot { pool: String, path: String, chroot: String, inside: String } =
        "[pool {pool}] the chdir path '{path}' within the chroot path '{chroot}' ('{inside}') does not exist or is not a directory",
        names ["chroot", "chdir"],
        do "Write the path as it is inside the new root, and create it there.";

    /// Two pools have the same address.
    [Fpm Error] AddressTwice { pool: String, other: String } =
        "[pool {pool}] unable to set listen address as it's already used in another pool '{other}'",
        names ["listen"],
        do "Give each pool its own address.";

    /// A path of the pool's PHP is relative or empty.
    [Ours Error] EngineRelative { pool: String, directive: String, path: String } =
        "[pool {pool}] {directive} = '{path}': the path must start with a '/'",
        names ["process.php", "process.php_library", "process.php_ini", "process.php_ini_scan_dir"],
        do "Write an absolute path.";

    /// A list of directories contains no directory.
    [Ours Error] ScanDirEmpty { pool: String } =
        "[pool {pool}] process.php_ini_scan_dir contains no directory; none means that no further ini files are read",
        names ["process.php_ini_scan_dir"],
        do "Write absolute paths with colons between them, or none.";

    /// Pools that share a zygote by `process.group` have to be of one PHP with one php.ini.
    [Ours Error] GroupEngine { pool: String, other: String, group: String, directive: String } =
        "[pool {pool}] {directive} differs from that of pool '{other}', but both share one zygote by process.group = {group}",
        names ["process.group", "process.php", "process.php_library", "process.php_ini", "process.php_ini_scan_dir"],
        do "Give both pools the same PHP settings, or different groups.";

    /// The file of `access.log` cannot be opened.
    [Fpm Error] AccessLog { path: String, reason: String } = "failed to open access log ({path}): {reason}",
        names ["access.log"],
        do "Create the directory, or correct its owner and mode.";

    /// `access.format` has a mistake, which the line before says.
    [Fpm Error] AccessFormat { pool: String, format: String } =
        "[pool {pool}] wrong format for access.format '{format}'",
        names ["access.format"],
        do "Correct access.format; docs/configuration.md lists what it can contain.";

    /// The name of the parameter is not one that can have the id of a request.
    [Ours Error] RequestId { pool: String, name: String } =
        "[pool {pool}] log.request_id = '{name}': write the name of a FastCGI parameter for ids alone, such as HTTP_X_REQUEST_ID \
         (letters, digits and _, at most 64; no parameter of CGI or PHP)",
        names ["log.request_id"],
        do "Write the name of the parameter in which the web server passes an id.";

    /// `access.format` contains `%i`, and requests have no ids.
    [Ours Error] FormatOfIds { pool: String, format: String } =
        "[pool {pool}] access.format '{format}' contains %i, the id of a request, but log.request_id is not set: set it, such as \
         log.request_id = HTTP_X_REQUEST_ID",
        names ["access.format"],
        do "Set log.request_id, or remove %i from access.format.";
}

/// A page that php-fpm answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPage {
    /// `pm.status_path`.
    Status,
    /// `ping.path`.
    Ping,
}

impl OwnPage {
    /// The directive that sets its path.
    #[must_use]
    pub fn directive(self) -> &'static str {
        match self {
            Self::Status => "pm.status_path",
            Self::Ping => "ping.path",
        }
    }
}

impl std::fmt::Display for OwnPage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Status => "status",
            Self::Ping => "ping",
        })
    }
}
