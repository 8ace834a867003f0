//! The server that a test needs: its php-fpm.conf and php.ini.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::seccomp::{self, Refused};
use crate::stream::Address;
use crate::target::{Target, debug_build, web_user};

/// How the pool listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listen {
    /// A socket in the sandbox.
    #[default]
    Unix,
    /// A free port of 127.0.0.1.
    Tcp,
}

/// A server with one static pool, `www`.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How it listens.
    pub listen: Listen,
    /// `pm.max_children`.
    pub workers: u32,
    /// Further lines of `[global]`.
    pub global: Vec<String>,
    /// Further lines of the pool.
    pub pool: Vec<String>,
    /// Further lines of php.ini.
    pub ini: Vec<String>,
    /// A whole php-fpm.conf instead of all that, with `{{DIR}}`, `{{LISTEN}}` and `{{USER}}` replaced.
    pub whole: Option<String>,
    /// Whether it runs from a copy of the prefix, because the test replaces its files.
    pub own_prefix: bool,
    /// Further options of the command line.
    pub options: Vec<String>,
    /// A program and its arguments that run the server: it executes the words after them.
    pub under: Vec<String>,
    /// System calls that it is refused.
    pub refused: Vec<Refused>,
}

impl Setup {
    /// That many workers on a unix socket.
    #[must_use]
    pub fn new(workers: u32) -> Self {
        Self {
            listen: Listen::Unix,
            workers,
            global: Vec::new(),
            pool: Vec::new(),
            ini: Vec::new(),
            whole: None,
            own_prefix: false,
            options: Vec::new(),
            under: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// On a port instead of a path.
    #[must_use]
    pub fn listen(mut self, listen: Listen) -> Self {
        self.listen = listen;
        self
    }

    /// With a line in `[global]`.
    #[must_use]
    pub fn global(mut self, line: &str) -> Self {
        self.global.push(line.to_owned());
        self
    }

    /// With a line in the pool.
    #[must_use]
    pub fn pool(mut self, line: &str) -> Self {
        self.pool.push(line.to_owned());
        self
    }

    /// With a line in php.ini.
    #[must_use]
    pub fn ini(mut self, line: &str) -> Self {
        self.ini.push(line.to_owned());
        self
    }

    /// With a php-fpm.conf of its own.
    #[must_use]
    pub fn whole(mut self, text: &str) -> Self {
        self.whole = Some(text.to_owned());
        self
    }

    /// From a copy of the prefix.
    #[must_use]
    pub fn own_prefix(mut self) -> Self {
        self.own_prefix = true;
        self
    }

    /// With an option of the command line.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Run by these words: a program and its arguments.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Self {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// With system calls refused.
    #[must_use]
    pub fn refused(mut self, calls: &[Refused]) -> Self {
        self.refused.extend_from_slice(calls);
        self
    }

    /// The program, after the words that run it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        match self.under.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    /// Refuses the refused system calls to a command that is about to start.
    ///
    /// # Errors
    /// When the filter can't be made.
    pub fn refuse(&self, command: &mut Command) -> Outcome {
        if self.refused.is_empty() { Ok(()) } else { Ok(seccomp::refuse(command, &self.refused)?) }
    }

    /// The php-fpm.conf.
    #[must_use]
    pub fn conf(&self, dir: &Path, address: &Address) -> String {
        let dir = dir.display();
        if let Some(whole) = &self.whole {
            let whole = whole.replace("{{DIR}}", &dir.to_string());
            let listen = match address {
                Address::Unix(path) => path.display().to_string(),
                Address::Tcp(addr) => addr.to_string(),
            };
            return whole.replace("{{LISTEN}}", &listen).replace("{{USER}}", web_user().unwrap_or_default());
        }
        let mut text = format!("[global]\npid = {dir}/fpm.pid\nerror_log = {dir}/fpm.log\n");
        append(&mut text, &self.global);
        text.push_str("[www]\npm = static\n");
        let _ = writeln!(text, "pm.max_children = {}", self.workers);
        match address {
            Address::Unix(path) => writeln!(text, "listen = {}", path.display()),
            Address::Tcp(addr) => writeln!(text, "listen = {addr}"),
        }
        .unwrap_or_default();
        if let Some(user) = web_user() {
            let _ = writeln!(text, "user = {user}\ngroup = {user}\nlisten.owner = {user}\nlisten.group = {user}");
        }
        append(&mut text, &self.pool);
        // The log then shows what a PHP in debug mode finds at the end of a request.
        if debug_build() && !self.pool.iter().any(|line| line.starts_with("catch_workers_output")) {
            text.push_str("catch_workers_output = yes\n");
        }
        text
    }

    /// The php.ini.
    #[must_use]
    pub fn php_ini(&self, target: &Target, dir: &Path) -> String {
        let mut text = String::new();
        if target.opcache_by_hand() {
            text.push_str("zend_extension = opcache\n");
        }
        // Otherwise files of the last two seconds are not cached.
        text.push_str("opcache.file_update_protection = 0\n");
        let dir = dir.display();
        let _ = writeln!(text, "session.save_path = {dir}/sessions\nupload_tmp_dir = {dir}/out");
        text.push_str("display_errors = 0\nlog_errors = 1\nupload_max_filesize = 16M\npost_max_size = 20M\n");
        append(&mut text, &self.ini);
        text
    }
}

fn append(text: &mut String, lines: &[String]) {
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
}
