//! Corrects SCRIPT_FILENAME, SCRIPT_NAME, PATH_INFO and PATH_TRANSLATED as php-fpm does (`init_request_info`).

use super::env::{Env, Text};
use super::guard::stays_below;
use super::server::Given;
use crate::text::url_decoded;

/// What the rules need to know about the file system.
pub trait Files {
    /// Whether the path resolves to anything; PHP asks its realpath cache.
    fn exists(&self, path: &[u8]) -> bool;
    /// Whether the path is a regular file.
    fn is_file(&self, path: &[u8]) -> bool;
}

/// The ini entries that matter.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `cgi.fix_pathinfo`.
    pub fix_pathinfo: bool,
    /// `cgi.discard_path`.
    pub discard_path: bool,
    /// `doc_root`.
    pub doc_root: Option<&'a [u8]>,
    /// PATH_INFO found for Apache's ProxyPass is decoded, as since PHP 8.4 (GH-17643).
    pub decode: bool,
}

/// The script; the texts are in the [`Env`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// The file to run; `None`: not found (404).
    pub path: Option<Text>,
    /// PHP's `request_uri`: the script's URL path, the start of PHP_SELF.
    pub uri: Option<Text>,
    /// No prefix of the path was a file.
    pub missing: bool,
}

/// Finds the script and corrects the variables. `None`: the server did not name a script.
pub fn resolve(env: &mut Env, settings: Settings<'_>, files: &impl Files) -> Option<Script> {
    let given = Given::read(env)?;
    let mut script = if settings.fix_pathinfo {
        Fixed::new(env, given, settings).resolve(files)
    } else {
        let translated = if settings.discard_path { None } else { given.translated };
        Script { path: translated.or(Some(given.path)), uri: given.path_info.or(given.name), missing: false }
    };
    script.path = script.path.filter(|&path| stays_below(env.bytes(path)));
    Some(script)
}

/// `cgi.fix_pathinfo=1`: `/info.php/test` is `/info.php` with PATH_INFO `/test`, whatever the server sends.
struct Fixed<'a> {
    env: &'a mut Env,
    given: Given,
    root: Option<Text>,
    decode: bool,
    /// REDIRECT_URL; not for Apache's proxy modules, where it means something else.
    redirect: Option<Text>,
    /// SCRIPT_FILENAME and SCRIPT_NAME are those of a PHP executable (Apache's Action); the script is in PATH_TRANSLATED.
    action: bool,
    path: Text,
    /// SCRIPT_NAME, as far as it is known.
    name: Option<Text>,
}

impl<'a> Fixed<'a> {
    fn new(env: &'a mut Env, given: Given, settings: Settings<'_>) -> Self {
        let root = match env.get(b"DOCUMENT_ROOT") {
            None => settings.doc_root.map(|root| env.set(b"DOCUMENT_ROOT", root)),
            root => root,
        };
        let redirect = if given.proxied { None } else { env.get(b"REDIRECT_URL") };
        let elsewhere = given.translated.filter(|&path| env.bytes(path) != env.bytes(given.path));
        let mut fixed = Self {
            env,
            given,
            root,
            decode: settings.decode,
            redirect,
            action: false,
            path: given.path,
            name: given.name,
        };
        if let (Some(redirect), Some(script)) = (redirect, elsewhere) {
            (fixed.action, fixed.path, fixed.name) = (true, script, Some(redirect));
        }
        fixed
    }

    fn resolve(mut self, files: &impl Files) -> Script {
        let path = self.env.bytes(self.path);
        if path.is_empty() || (!path.ends_with(b"/") && files.exists(path)) {
            return self.whole();
        }
        let base = base_script(path, files);
        let uri = match base {
            Some(length) => self.split(length),
            None => {
                self.remember(b"ORIG_SCRIPT_FILENAME", self.given.filename);
                self.env.remove(b"SCRIPT_FILENAME");
                None
            }
        };
        let uri = uri.or_else(|| self.rename(self.name));
        Script { path: base.map(|_| self.path), uri, missing: base.is_none() }
    }

    /// The path is a file as it is.
    fn whole(mut self) -> Script {
        if self.differs(self.given.filename, self.path) {
            self.remember(b"ORIG_SCRIPT_FILENAME", self.given.filename);
            self.path = self.env.set_copy(b"SCRIPT_FILENAME", self.path);
        }
        if self.redirect.is_some() {
            if self.remember(b"ORIG_PATH_INFO", self.given.path_info) {
                self.env.remove(b"PATH_INFO");
            }
            if self.remember(b"ORIG_PATH_TRANSLATED", self.given.translated) {
                self.env.remove(b"PATH_TRANSLATED");
            }
        }
        if self.action {
            self.remember(b"ORIG_SCRIPT_NAME", self.given.name);
            self.name = self.name.map(|name| self.env.set_copy(b"SCRIPT_NAME", name));
        }
        Script { path: Some(self.path), uri: self.name, missing: false }
    }

    /// The script is the first `length` bytes of the path. Returns the URI if it is known.
    fn split(&mut self, length: usize) -> Option<Text> {
        let (script, rest) = (self.path.take(length), self.path.skip(length));
        let mut uri = None;
        let mut info = self.given.path_info;
        if let Some(new) = self.info_behind(rest) {
            uri = match self.given.path_info {
                Some(old) => self.name_from_info(old, new),
                None if self.given.proxied => self.name_without(new),
                None => None,
            };
            let decode = self.decode && self.given.path_info.is_none() && self.name.is_some();
            info = Some(if decode {
                let decoded = url_decoded(self.env.bytes(new));
                // For PHP it ends there: the value is a C string.
                let text = decoded.split(|byte| *byte == 0).next().unwrap_or_default();
                self.env.set(b"PATH_INFO", text)
            } else {
                self.env.set_copy(b"PATH_INFO", new)
            });
        }
        if self.differs(self.given.filename, script) {
            self.remember(b"ORIG_SCRIPT_FILENAME", self.given.filename);
            self.path = self.env.set_copy(b"SCRIPT_FILENAME", script);
        }
        self.translate(script, info);
        uri
    }

    /// PATH_INFO, if it differs from the server's. Apache's proxies send none, other servers send too much.
    fn info_behind(&self, rest: Text) -> Option<Text> {
        let length = self.env.bytes(rest).len();
        if self.given.proxied {
            return Some(rest).filter(|_| length != 0 && self.differs(self.given.path_info, rest));
        }
        let old = self.given.path_info?;
        let surplus = self.env.bytes(old).len().checked_sub(length).filter(|&surplus| surplus != 0)?;
        Some(old.skip(surplus))
    }

    /// The given PATH_INFO was SCRIPT_NAME and PATH_INFO in one.
    fn name_from_info(&mut self, old: Text, new: Text) -> Option<Text> {
        self.env.set_copy(b"ORIG_PATH_INFO", old);
        let surplus = self.env.bytes(old).len().saturating_sub(self.env.bytes(new).len());
        self.rename(Some(if self.given.proxied { old } else { old.take(surplus) }))
    }

    /// Apache's ProxyPass leaves PATH_INFO at the end of SCRIPT_NAME, possibly decoded (GH-17643).
    fn name_without(&mut self, info: Text) -> Option<Text> {
        let name = self.name?;
        let (whole, tail) = (self.env.bytes(name), self.env.bytes(info));
        let kept = stripped(whole, tail).or_else(|| stripped(whole, &url_decoded(tail)))?;
        self.env.set_copy(b"ORIG_SCRIPT_NAME", name);
        self.name = Some(name.take(kept));
        self.name.map(|name| self.env.set_copy(b"SCRIPT_NAME", name))
    }

    /// PATH_TRANSLATED = document root + PATH_INFO; without a document root, what SCRIPT_NAME leaves of the script's path.
    fn translate(&mut self, script: Text, info: Option<Text>) {
        let root = match (self.root, self.name) {
            (Some(root), _) => {
                let bytes = self.env.bytes(root);
                root.take(bytes.strip_suffix(b"/").unwrap_or(bytes).len())
            }
            (None, Some(name)) => {
                let (path, name) = (self.env.bytes(script), self.env.bytes(name));
                if !name.is_empty() && !path.windows(name.len()).any(|window| window == name) {
                    return;
                }
                script.take(path.len() - name.len())
            }
            (None, None) => return,
        };
        self.remember(b"ORIG_PATH_TRANSLATED", self.given.translated);
        self.env.set_joined(b"PATH_TRANSLATED", root, info);
    }

    /// SCRIPT_NAME becomes `new`, the given one ORIG_SCRIPT_NAME, unless they are equal.
    fn rename(&mut self, new: Option<Text>) -> Option<Text> {
        let (Some(old), Some(name)) = (self.given.name, new) else {
            return new.map(|name| self.env.set_copy(b"SCRIPT_NAME", name));
        };
        if self.env.bytes(old) == self.env.bytes(name) {
            return Some(old);
        }
        self.env.set_copy(b"ORIG_SCRIPT_NAME", old);
        Some(self.env.set_copy(b"SCRIPT_NAME", name))
    }

    fn differs(&self, old: Option<Text>, new: Text) -> bool {
        old.is_none_or(|old| self.env.bytes(old) != self.env.bytes(new))
    }

    fn remember(&mut self, name: &[u8], old: Option<Text>) -> bool {
        old.map(|old| self.env.set_copy(name, old)).is_some()
    }
}

/// The length of the longest proper prefix of `path` that is a file. A prefix ends before a slash, or before a backslash if no
/// slash is left.
fn base_script(path: &[u8], files: &impl Files) -> Option<usize> {
    let mut prefix = path;
    loop {
        let last = |wanted: u8| prefix.iter().rposition(|&byte| byte == wanted);
        prefix = prefix.get(..last(b'/').or_else(|| last(b'\\'))?)?;
        if files.is_file(prefix) {
            return Some(prefix.len());
        }
    }
}

/// The length of `whole` without `tail`, if `tail` is its end and something comes before it.
fn stripped(whole: &[u8], tail: &[u8]) -> Option<usize> {
    whole.strip_suffix(tail).map(<[u8]>::len).filter(|&kept| kept != 0)
}
