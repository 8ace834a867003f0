//! The table of directives: name, kind of value, default and meaning. A test checks that `docs/configuration.md` and
//! `build-aux/php-fpm.conf.default` contain each of them.

/// The kind of a directive's value, and its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, a name or a path.
    Text,
    /// An integer of 32 bits.
    Integer(i32),
    /// A nice value; unset by default.
    Priority,
    /// A time, in seconds.
    Seconds(i32),
    /// A time that `-tt` prints without `s`.
    PlainSeconds(i32),
    /// A time that is kept in milliseconds; -1 is unset.
    Milliseconds(i32),
    /// Yes or no.
    Flag(bool),
    /// A log level.
    LogLevel,
    /// `default`, `classic` or `json`; unset by default.
    LogFormat,
    /// A syslog facility.
    Facility,
    /// A number of bytes or `unlimited`.
    CoreLimit,
    /// A number of bytes with K, M or G; unset by default.
    Bytes,
    /// `on`, `user` or `off`; unset by default.
    FastcgiPhpValue,
    /// `fast` or `graceful`; unset by default.
    OnSigterm,
    /// `retry` or `stop`; unset by default.
    StartFailure,
    /// `auto`, `yes` or `no`; unset by default.
    BaseUse,
    /// `static`, `dynamic` or `ondemand`.
    ProcessManager,
}

/// Whether `-tt` prints the directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dumped {
    /// As in php-fpm.
    Always,
    /// A directive that php-fpm does not have: only if it is set, so that the output is otherwise php-fpm's.
    WhenSet,
    /// Not printed, as in php-fpm.
    Never,
}

/// One directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directive {
    /// As written in the file, in lower case.
    pub name: &'static str,
    /// Its value.
    pub kind: Kind,
    /// Whether `-tt` prints it.
    pub dumped: Dumped,
    /// Its effect.
    pub doc: &'static str,
}

/// A directive of one section, usable as an index.
pub(crate) trait Key: Copy {
    /// The directives of the section in the order of `-tt`.
    const TABLE: &'static [Directive];
    /// The index in the table.
    fn index(self) -> usize;
}

macro_rules! directives {
    ($(#[$about:meta])* $section:ident, $table:ident; $($key:ident $name:literal $kind:expr, $dumped:ident, $doc:literal;)+) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $section { $(#[doc = $doc] $key),+ }

        $(#[$about])*
        pub const $table: &[Directive] =
            &[$(Directive { name: $name, kind: $kind, dumped: Dumped::$dumped, doc: $doc }),+];

        impl Key for $section {
            const TABLE: &'static [Directive] = $table;
            fn index(self) -> usize { self as usize }
        }
    };
}

directives! {
    /// The directives of `[global]`.
    GlobalDirective, GLOBAL_DIRECTIVES;
    Pid "pid" Kind::Text, Always, "File that the process id is written to.";
    ErrorLog "error_log" Kind::Text, Always, "File of the log, or `syslog`, `stderr`, `stdout`. Default: log/php-fpm.log.";
    SyslogIdent "syslog.ident" Kind::Text, Always, "Name in front of each message in syslog. Default: php-fpm.";
    SyslogFacility "syslog.facility" Kind::Facility, Always, "Facility of the messages in syslog. Default: daemon.";
    LogBuffering "log_buffering" Kind::Flag(true), Always, "Collect a line of a worker's output before it is logged.";
    LogLevel "log_level" Kind::LogLevel, Always, "Least severe message logged: debug, notice, warning, error, alert. Default: notice.";
    LogFormat "log_format" Kind::LogFormat, WhenSet, "Form of the log's lines: default (php-fpm's), classic (the original patch's) or json (an object a line). Default: default.";
    LogLimit "log_limit" Kind::Integer(1024), Always, "Longest log line in bytes, at least 512; longer output of workers is wrapped.";
    EmergencyRestartInterval "emergency_restart_interval" Kind::Seconds(0), Always, "Time in which emergency_restart_threshold workers must crash.";
    EmergencyRestartThreshold "emergency_restart_threshold" Kind::Integer(0), Always, "Replace a group's zygote and its shared memory when that many of its workers crash in the interval; 0: never.";
    ProcessControlTimeout "process_control_timeout" Kind::Seconds(0), Always, "How long a worker may take to leave before it is made to.";
    ProcessMax "process.max" Kind::Integer(0), Always, "Most workers of all pools together; 0: no limit.";
    ProcessPriority "process.priority" Kind::Priority, Always, "Nice value of the main process, -19 to 20.";
    Daemonize "daemonize" Kind::Flag(true), Always, "Run in the background.";
    RlimitFiles "rlimit_files" Kind::Integer(0), Always, "Open file limit of the main process.";
    RlimitCore "rlimit_core" Kind::CoreLimit, Always, "Core file limit of the main process.";
    EventsMechanism "events.mechanism" Kind::Text, Always, "epoll, poll or select; only php-fpm's event loop has the choice.";
    SystemdInterval "systemd_interval" Kind::Milliseconds(-1), Always, "Time between two reports to systemd; 0: none. Default: 10s.";
    OnSigterm "on_sigterm" Kind::OnSigterm, WhenSet, "What SIGTERM and SIGINT do: fast (requests are cut short) or graceful (they are finished, as by SIGQUIT). Default: fast; graceful as process 1 of a container.";
    ShutdownDelay "shutdown_delay" Kind::Seconds(0), WhenSet, "Before a graceful stop: how long requests are still accepted while ping answers 503, so that web servers send no more.";
    ProcessGroup "process.group" Kind::Text, WhenSet, "`shared`: one zygote for the pools of all users, as php-fpm does it.";
    StartFailure "process.start_failure" Kind::StartFailure, WhenSet, "If a group cannot start: retry (the others start, and it is tried again; at a reload it keeps what it had) or stop (all or nothing, as php-fpm does it). Default: retry.";
    StartParallel "process.start_parallel" Kind::Integer(0), WhenSet, "Most groups that start at the same time; 0: as many as there are processors, at least 2, and four to twelve times as many from a base zygote.";
    DrainPatience "process.drain_patience" Kind::Seconds(60), WhenSet, "How long the reload of a group waits while three generations of it finish requests. Then the oldest one's workers are ended; 0: no limit.";
    GroupIdleTimeout "process.group_idle_timeout" Kind::Seconds(3600), WhenSet, "How long a zygote whose pools are all ondemand may be without workers and connections; 0: for ever.";
    Base "process.base" Kind::BaseUse, WhenSet, "Start PHP once in a base zygote, from which the zygotes of several users are forked, each with a copy of its memory: yes, no, or auto (from four groups on). Default: auto.";
    BaseUser "process.base_user" Kind::Text, WhenSet, "User of base zygotes. Default: nobody.";
    ControlSocket "control.socket" Kind::Text, WhenSet, "Unix socket where the commands `php-fpm cache` and `php-fpm opcache` ask the main process, with mode 0600; `no`: there is none. Default: beside the pid file, with `.control` in place of `.pid`.";
    MonitorListen "monitor.listen" Kind::Text, WhenSet, "Address of the monitor, which answers /metrics, /livez, /readyz and /startupz over HTTP: `ip:port`, `[ip6]:port`, `/unix/socket`. Default: there is no monitor.";
    MonitorMode "monitor.mode" Kind::Text, WhenSet, "Permissions of the monitor's unix socket, in octal. Default: 0660.";
    MonitorOwner "monitor.owner" Kind::Text, WhenSet, "Owner of the monitor's unix socket. Default: the user that php-fpm is started as.";
    MonitorGroup "monitor.group" Kind::Text, WhenSet, "Group of the monitor's unix socket. Default: that of monitor.owner.";
    MonitorAllowedHosts "monitor.allowed_hosts" Kind::Text, WhenSet, "Names of this machine by which HTTP clients may address the monitor, with commas; addresses and localhost always may.";
    MonitorShowRequests "monitor.show_requests" Kind::Flag(false), WhenSet, "Show whoever may ask the monitor the method, URI, script and id of each request that runs.";
}

directives! {
    /// The directives of a pool.
    PoolDirective, POOL_DIRECTIVES;
    Prefix "prefix" Kind::Text, Always, "Directory that relative paths of this pool start from.";
    User "user" Kind::Text, Always, "User of the workers. Needed when started as root.";
    Group "group" Kind::Text, Always, "Group of the workers. Default: the user's.";
    ProcessGroup "process.group" Kind::Text, WhenSet, "Pools with the same name here share a zygote and its opcode cache.";
    GroupIdleTimeout "process.group_idle_timeout" Kind::Seconds(-1), WhenSet, "The same for this pool's zygote; the longest of its pools counts.";
    Php "process.php" Kind::Text, WhenSet, "Absolute path of the php-cgi that this pool runs with. Default: the running one.";
    PhpLibrary "process.php_library" Kind::Text, WhenSet, "Absolute path of the cgi-fpm library for that php-cgi. Default: the one that it finds itself.";
    PhpIni "process.php_ini" Kind::Text, WhenSet, "php.ini of this pool, or its directory, or `none`. Default: as the command line says.";
    PhpIniScanDir "process.php_ini_scan_dir" Kind::Text, WhenSet, "Directories of further ini files, with colons, or `none`. Default: as the environment or the build says.";
    Listen "listen" Kind::Text, Always, "Address to listen on: `ip:port`, `[ip6]:port`, `host:port`, `port`, `/unix/socket`; several with commas.";
    ListenBacklog "listen.backlog" Kind::Integer(-1), Always, "Longest queue of connections not yet accepted; -1: as long as the system allows.";
    ListenAclUsers "listen.acl_users" Kind::Text, Always, "Users who may connect to the unix socket, by ACL; with commas.";
    ListenAclGroups "listen.acl_groups" Kind::Text, Always, "Groups that may connect to the unix socket, by ACL; with commas.";
    ListenOwner "listen.owner" Kind::Text, Always, "Owner of the unix socket.";
    ListenGroup "listen.group" Kind::Text, Always, "Group of the unix socket.";
    ListenMode "listen.mode" Kind::Text, Always, "Permissions of the unix socket, in octal. Default: 0660.";
    ListenAllowedClients "listen.allowed_clients" Kind::Text, Always, "Addresses of the web servers that may connect, with commas. Default: any.";
    ProcessPriority "process.priority" Kind::Priority, Always, "Nice value of the workers, -19 to 20.";
    ProcessDumpable "process.dumpable" Kind::Flag(false), Always, "Let workers be traced and dump core though they have changed user.";
    Pm "pm" Kind::ProcessManager, Always, "How the number of workers is chosen: static, dynamic, ondemand.";
    PmMaxChildren "pm.max_children" Kind::Integer(0), Always, "Most workers (static: their number).";
    PmStartServers "pm.start_servers" Kind::Integer(0), Always, "Workers at the start (dynamic). Default: midway between min_spare_servers and max_spare_servers.";
    PmMinSpareServers "pm.min_spare_servers" Kind::Integer(0), Always, "Fewest idle workers (dynamic).";
    PmMaxSpareServers "pm.max_spare_servers" Kind::Integer(0), Always, "Most idle workers (dynamic).";
    PmMaxSpawnRate "pm.max_spawn_rate" Kind::Integer(32), Always, "Most workers started at once (dynamic).";
    PmProcessIdleTimeout "pm.process_idle_timeout" Kind::PlainSeconds(10), Always, "How long a worker may be idle (ondemand).";
    PmMaxRequests "pm.max_requests" Kind::Integer(0), Always, "Requests after which a worker is replaced; 0: never.";
    PmMaxMemory "pm.max_memory" Kind::Bytes, WhenSet, "Resident memory above which a worker is replaced after its request, with K, M or G. Default: no limit.";
    PmStatusPath "pm.status_path" Kind::Text, Always, "URI of the status page.";
    PmStatusListen "pm.status_listen" Kind::Text, Always, "Address on which the status page is served apart from the requests.";
    PingPath "ping.path" Kind::Text, Always, "URI that is answered with ping.response.";
    PingResponse "ping.response" Kind::Text, Always, "Answer to a ping. Default: pong.";
    AccessLog "access.log" Kind::Text, Always, "File of the access log.";
    AccessFormat "access.format" Kind::Text, Always, "Format of the access log, or `json`: an object a line. Default: %R - %u %t \"%m %r\" %s";
    LogRequestId "log.request_id" Kind::Text, WhenSet, "FastCGI parameter with the id of a request, such as HTTP_X_REQUEST_ID: the logs show this id, and the trace of `traceparent`. An id is made where there is none. Default: no ids.";
    Slowlog "slowlog" Kind::Text, Always, "File of the traces of slow requests.";
    RequestSlowlogTimeout "request_slowlog_timeout" Kind::Seconds(0), Always, "Time after which a request is traced; 0: never.";
    RequestSlowlogTraceDepth "request_slowlog_trace_depth" Kind::Integer(0), Always, "Most frames of such a trace. Default: 20.";
    RequestTerminateTimeout "request_terminate_timeout" Kind::Seconds(0), Always, "Time after which a request is ended by force; 0: never.";
    RequestTerminateTimeoutTrackFinished "request_terminate_timeout_track_finished" Kind::Flag(false), Always, "Also after the answer is complete: fastcgi_finish_request(), shutdown functions.";
    RequestDropAbandoned "request_drop_abandoned" Kind::Flag(false), WhenSet, "Don't run the script of a request whose client closed the connection while it waited.";
    RlimitFiles "rlimit_files" Kind::Integer(0), Always, "Open file limit of the workers.";
    RlimitCore "rlimit_core" Kind::CoreLimit, Always, "Core file limit of the workers.";
    Chroot "chroot" Kind::Text, Always, "New root directory of the workers.";
    Chdir "chdir" Kind::Text, Always, "Directory in which the workers start.";
    CatchWorkersOutput "catch_workers_output" Kind::Flag(false), Always, "Log what the workers write to stdout and stderr.";
    DecorateWorkersOutput "decorate_workers_output" Kind::Flag(true), Always, "With pool, process and level in front.";
    ClearEnv "clear_env" Kind::Flag(true), Always, "Workers start with an empty environment.";
    SecurityFastcgiPhpValue "security.fastcgi_php_value" Kind::FastcgiPhpValue, WhenSet, "Which settings the web server may send: on (PHP_VALUE and PHP_ADMIN_VALUE), user (harmless ones in PHP_VALUE), off. Default: on.";
    SecurityLimitExtensions "security.limit_extensions" Kind::Text, Always, "Endings of the scripts that may run, with spaces; empty: any. Default: .php .phar";
    ApparmorHat "apparmor_hat" Kind::Text, Never, "AppArmor hat of the workers.";
}

/// The lists of a pool, `name[key] = value`, and what an entry is.
pub const LIST_DIRECTIVES: &[(&str, &str)] = &[
    ("env", "A variable of the workers' environment; `$NAME` is taken from the supervisor's."),
    ("php_value", "A PHP setting that scripts may change."),
    ("php_flag", "The same, with yes or no."),
    ("php_admin_value", "A PHP setting that scripts can't change."),
    ("php_admin_flag", "The same, with yes or no."),
    (
        "process.php_define",
        "A setting for the start of PHP, as the option -d: also those that php_admin_value can't set.",
    ),
    ("access.suppress_path", "A URI that isn't in the access log; nothing in the brackets."),
];
