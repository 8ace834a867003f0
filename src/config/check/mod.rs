//! The rules between directives, in php-fpm's order and words. Values that it fills in or changes are filled in here.

mod global;
mod limits;
mod manager;
mod places;
mod pool;

use std::io;
use std::path::Path;

use super::account::user_id;
use super::directives::PoolDirective;
use super::message::{Messages, Refused};
use super::options::LoadOptions;
use super::origins::Origins;
use super::paths::Prefixes;
use super::raw::{Raw, RawPool};
use crate::access_log::Format;
use crate::log;
use crate::sys::failure::reason;
use crate::sys::fd;
use crate::sys::log_file::{self, Owner};
use crate::sys::named_file;

/// What the rules work with.
pub(super) struct Check<'a> {
    pub(super) options: &'a LoadOptions,
    pub(super) prefixes: &'a Prefixes,
    pub(super) messages: &'a mut Messages,
    pub(super) origins: &'a Origins,
}

impl Check<'_> {
    /// Everything that php-fpm calls post-processing.
    pub(super) fn all(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        self.global(raw)?;
        if raw.pools.is_empty() {
            let text = "No pool defined. at least one pool section must be specified in config file";
            return self.refuse(log::Level::Error, text);
        }
        let mut index = 0;
        while index < raw.pools.len() {
            let events = raw.events_mechanism();
            if let Some(status) = self.pool(&mut raw.pools[index], index, events)? {
                raw.pools.push(status);
            }
            index += 1;
        }
        self.distinct_addresses(&raw.pools)?;
        self.access_logs(&mut raw.pools)
    }

    /// Says what is wrong in `[global]`, and that it's over.
    fn refuse(&mut self, level: log::Level, text: impl Into<String>) -> Result<(), Refused> {
        let text = text.into();
        let hints = self.origins.hints(None, &text);
        self.end(level, text, hints)
    }

    /// The same for a pool that the line doesn't name.
    fn refuse_in(&mut self, level: log::Level, pool: &RawPool, text: String) -> Result<(), Refused> {
        let hints = self.origins.hints(Some(&pool.name), &text);
        self.end(level, text, hints)
    }

    /// The same for a pool.
    fn refuse_pool(&mut self, level: log::Level, pool: &RawPool, text: &str) -> Result<(), Refused> {
        let hints = self.origins.hints(Some(&pool.name), text);
        self.end(level, format!("[pool {}] {text}", pool.name), hints)
    }

    fn end(&mut self, level: log::Level, text: String, hints: Vec<String>) -> Result<(), Refused> {
        self.messages.log(level, text);
        hints.into_iter().for_each(|hint| self.messages.hint(level, hint));
        Err(Refused)
    }

    fn distinct_addresses(&mut self, pools: &[RawPool]) -> Result<(), Refused> {
        for (index, pool) in pools.iter().enumerate() {
            let address = pool.values.filled(PoolDirective::Listen);
            let twin = pools.iter().enumerate().find(|(other, twin)| {
                *other != index && address.is_some() && twin.values.filled(PoolDirective::Listen) == address
            });
            if let Some((_, twin)) = twin {
                let text = "unable to set listen address as it's already used in another pool";
                return self.refuse_pool(log::Level::Error, twin, &format!("{text} '{}'", pool.name));
            }
        }
        Ok(())
    }

    /// Whose a pool's logs are.
    fn owner_of_logs(&self, pool: &RawPool) -> Owner {
        let user = pool.values.text(PoolDirective::User).filter(|_| self.options.root);
        Owner::Pool(user.and_then(user_id))
    }

    /// The file can be appended to, or is made.
    ///
    /// # Errors
    /// A line that begins with these words.
    fn appendable(&mut self, path: &str, words: &str, owner: Owner) -> Result<(), String> {
        let through = open_log(Path::new(path), owner).map_err(|e| format!("{words}({path}): {}", reason(&e)))?;
        if let Some(user) = through {
            self.messages.log(log::Level::Warning, named_file::leads_through(path, user));
        }
        Ok(())
    }

    fn access_logs(&mut self, pools: &mut [RawPool]) -> Result<(), Refused> {
        for pool in &*pools {
            if let Some(path) = pool.values.text(PoolDirective::AccessLog) {
                let owner = self.owner_of_logs(pool);
                if let Err(text) = self.appendable(path, "failed to open access log ", owner) {
                    return self.refuse_in(log::Level::Error, pool, text);
                }
                self.messages.log(log::Level::Debug, format!("open access log ({path})"));
            }
        }
        for pool in pools {
            if pool.values.filled(PoolDirective::AccessLog).is_none() {
                continue;
            }
            let Some(format) = pool.values.filled(PoolDirective::AccessFormat) else { continue };
            match Format::compile(format) {
                Ok(format) => pool.access_format = Some(format),
                Err(error) => {
                    self.messages.log(log::Level::Warning, error);
                    let text = format!("wrong format for access.format '{format}'");
                    return self.refuse_pool(log::Level::Error, pool, &text);
                }
            }
        }
        Ok(())
    }
}

/// Opens a log to append, as php-fpm does. An own descriptor is there though it may not be possible to open it by name:
/// it is a socket, or belongs to the user that we were. The standard streams are never opened by name: nobody may read
/// the pipe that stands there, and then opening it waits.
fn open_log(path: &Path, owner: Owner) -> io::Result<Option<u32>> {
    if fd::standard_stream(path).is_some() && path.exists() {
        return Ok(None);
    }
    match log_file::open(path, owner) {
        Err(error) if !(is_own_descriptor(path) && path.exists()) => Err(error),
        opened => Ok(opened.ok().and_then(|opened| opened.through)),
    }
}

/// `/dev/stderr` and the like.
fn is_own_descriptor(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let numbered = ["/proc/self/fd/", "/dev/fd/"].iter().find_map(|dir| path.strip_prefix(dir));
    matches!(&*path, "/dev/stderr" | "/dev/stdout") || numbered.is_some_and(|number| number.parse::<u16>().is_ok())
}
