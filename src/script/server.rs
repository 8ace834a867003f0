//! The variables of the web server, without the known mistakes of IIS and Apache.

use super::env::{Env, Text};

/// The variables that name the script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// The path to start from: SCRIPT_FILENAME, or PATH_TRANSLATED where there is none.
    pub(super) path: Text,
    pub(super) filename: Option<Text>,
    pub(super) translated: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) path_info: Option<Text>,
    /// SCRIPT_FILENAME was a `proxy:` URL of Apache's.
    pub(super) proxied: bool,
}

impl Given {
    /// `None`: the server sent neither SCRIPT_FILENAME nor PATH_TRANSLATED.
    pub(super) fn read(env: &mut Env) -> Option<Self> {
        let filename = env.get(b"SCRIPT_FILENAME");
        let translated = env.get(b"PATH_TRANSLATED");
        let mut given = Self {
            path: filename.or(translated)?,
            filename,
            translated,
            name: env.get(b"SCRIPT_NAME"),
            path_info: env.get(b"PATH_INFO"),
            proxied: false,
        };
        given.undo_iis(env);
        given.undo_apache_proxy(env);
        Some(given)
    }

    /// IIS repeats SCRIPT_NAME at the start of PATH_INFO.
    fn undo_iis(&mut self, env: &mut Env) {
        let (Some(name), Some(info)) = (self.name, self.path_info) else { return };
        let iis = env.value(b"SERVER_SOFTWARE").is_some_and(|server| server.starts_with(b"Microsoft-IIS"));
        if !iis || !env.bytes(info).starts_with(env.bytes(name)) {
            return;
        }
        let info = env.set_copy(b"ORIG_PATH_INFO", info);
        let rest = info.skip(env.bytes(name).len());
        if env.bytes(rest).is_empty() {
            env.remove(b"PATH_INFO");
            self.path_info = None;
        } else {
            self.path_info = Some(env.set_copy(b"PATH_INFO", rest));
        }
    }

    /// mod_proxy_fcgi and mod_proxy_balancer send `proxy:fcgi://host:port/path?query` (php bugs 54152 and 62172).
    fn undo_apache_proxy(&mut self, env: &mut Env) {
        let Some(filename) = self.filename else { return };
        let url = env.bytes(filename);
        let Some(host) = [&b"proxy:fcgi://"[..], b"proxy:balancer://"].into_iter().find_map(|scheme| {
            let (head, _) = url.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(scheme.len())
        }) else {
            return;
        };
        let slash = url.iter().skip(host).position(|&byte| byte == b'/').map(|at| at + host);
        let start = slash.unwrap_or(0);
        let end = url.iter().skip(start).position(|&byte| byte == b'?').map_or(url.len(), |at| at + start);
        self.proxied = slash.is_some();
        self.filename = env.shrink(b"SCRIPT_FILENAME", start..end);
        self.path = self.filename.unwrap_or(self.path);
    }
}
