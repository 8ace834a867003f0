//! The rules between directives, in php-fpm's order. Defaults that depend on other directives are filled in here.

mod engine;
mod global;
mod limits;
mod manager;
mod places;
mod pool;

use std::io;
use std::path::Path;

use super::account::user_id;
use super::directives::{GlobalDirective, PoolDirective};
use super::message::{Messages, Refused};
use super::options::{LoadOptions, PoolPaths};
use super::origins::Origins;
use super::paths::Prefixes;
use super::raw::{Raw, RawPool};
use crate::access_log::Format;
use crate::log::{
    self,
    messages::config::{GlobalError, access_format_wrong, access_log_opened, path_remark},
    messages::config_pools::{OwnPage, PoolError},
};
use crate::sys::failure::reason;
use crate::sys::fd;
use crate::sys::log_file::{self, Owner};
use crate::sys::named_file;

/// What the rules need.
pub(super) struct Check<'a> {
    pub(super) options: &'a LoadOptions,
    pub(super) prefixes: &'a Prefixes,
    pub(super) messages: &'a mut Messages,
    pub(super) origins: &'a Origins,
    /// Whether the directories and logs of pools are examined. Known after the check of `[global]`.
    pub(super) examines: bool,
}

impl Check<'_> {
    /// Everything that php-fpm calls post-processing.
    pub(super) fn all(&mut self, raw: &mut Raw) -> Result<(), Refused> {
        self.global(raw)?;
        self.examines = match self.options.pool_paths {
            PoolPaths::Examined => true,
            PoolPaths::ExaminedIfAllMustStart => raw.global.choice(GlobalDirective::StartFailure).unwrap_or(false),
            PoolPaths::LeftToGroups => false,
        };
        if raw.pools.is_empty() {
            return self.refuse(&GlobalError::NoPool);
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
        self.engines_of_groups(raw)?;
        self.access_logs(&raw.pools)?;
        self.access_formats(&mut raw.pools)
    }

    /// Whether a path names a directory, as far as that is examined.
    fn is_directory(&self, path: &str) -> bool {
        !self.examines || named_file::is_directory(Path::new(path))
    }

    /// Adds the line about a mistake in `[global]`, with hints.
    fn refuse(&mut self, error: &GlobalError) -> Result<(), Refused> {
        self.end(None, error.message(), error.directives())
    }

    /// The same for a pool.
    fn refuse_pool(&mut self, pool: &RawPool, error: &PoolError) -> Result<(), Refused> {
        self.end(Some(&pool.name), error.message(), error.directives())
    }

    /// The same for the path of a page.
    fn refuse_page(&mut self, pool: &RawPool, page: OwnPage, error: &PoolError) -> Result<(), Refused> {
        self.end(Some(&pool.name), error.message(), &[page.directive()])
    }

    fn end(&mut self, pool: Option<&str>, message: log::Message, directives: &[&str]) -> Result<(), Refused> {
        let level = message.level();
        self.messages.log(message);
        for (place, hint) in self.origins.hints(pool, directives) {
            self.messages.hint(level, place, &hint);
        }
        Err(Refused)
    }

    fn distinct_addresses(&mut self, pools: &[RawPool]) -> Result<(), Refused> {
        for (index, pool) in pools.iter().enumerate() {
            let address = pool.values.filled(PoolDirective::Listen);
            let twin = pools.iter().enumerate().find(|(other, twin)| {
                *other != index && address.is_some() && twin.values.filled(PoolDirective::Listen) == address
            });
            if let Some((_, twin)) = twin {
                let error = PoolError::AddressTwice { pool: twin.name.clone(), other: pool.name.clone() };
                return self.refuse_pool(twin, &error);
            }
        }
        Ok(())
    }

    /// The user whose directories the logs of a pool may be in.
    fn owner_of_logs(&self, pool: &RawPool) -> Owner {
        let user = pool.values.text(PoolDirective::User).filter(|_| self.options.root);
        Owner::Pool(user.and_then(user_id))
    }

    /// Opens a log file for appending; it is created if it does not exist.
    fn appendable(&mut self, path: &str, owner: Owner) -> io::Result<()> {
        for remark in open_log(Path::new(path), owner)? {
            self.messages.log(path_remark(remark));
        }
        Ok(())
    }

    fn access_logs(&mut self, pools: &[RawPool]) -> Result<(), Refused> {
        let examined = if self.examines { pools } else { &[] };
        for pool in examined {
            if let Some(path) = pool.values.text(PoolDirective::AccessLog) {
                let owner = self.owner_of_logs(pool);
                if let Err(e) = self.appendable(path, owner) {
                    let error = PoolError::AccessLog { path: path.to_owned(), reason: reason(&e) };
                    return self.refuse_pool(pool, &error);
                }
                self.messages.log(access_log_opened(path));
            }
        }
        Ok(())
    }

    fn access_formats(&mut self, pools: &mut [RawPool]) -> Result<(), Refused> {
        for pool in pools {
            if pool.values.filled(PoolDirective::AccessLog).is_none() {
                continue;
            }
            let Some(format) = pool.values.filled(PoolDirective::AccessFormat) else { continue };
            match Format::compile(format) {
                Ok(format) if format.asks_for_ids() && pool.values.filled(PoolDirective::LogRequestId).is_none() => {
                    let error = PoolError::FormatOfIds { pool: pool.name.clone(), format: format.into() };
                    return self.refuse_pool(pool, &error);
                }
                Ok(format) => pool.access_format = Some(format),
                Err(error) => {
                    self.messages.log(access_format_wrong(error));
                    let error = PoolError::AccessFormat { pool: pool.name.clone(), format: format.to_owned() };
                    return self.refuse_pool(pool, &error);
                }
            }
        }
        Ok(())
    }
}

/// Opens a log for appending, as php-fpm does. Returns warnings about its path.
///
/// A descriptor of this process exists even if it cannot be opened by its name, because it is a socket or belongs to the
/// user that this process was. The standard streams are never opened by name: if one is a pipe that no process reads,
/// opening it waits.
fn open_log(path: &Path, owner: Owner) -> io::Result<Vec<String>> {
    if fd::standard_stream(path).is_some() && path.exists() {
        return Ok(Vec::new());
    }
    match log_file::open(path, owner) {
        Err(error) if !(is_own_descriptor(path) && path.exists()) => Err(error),
        opened => Ok(opened.map(|opened| opened.remarks).unwrap_or_default()),
    }
}

/// Whether the path names a descriptor of this process, such as `/dev/stderr`.
fn is_own_descriptor(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let numbered = ["/proc/self/fd/", "/dev/fd/"].iter().find_map(|dir| path.strip_prefix(dir));
    matches!(&*path, "/dev/stderr" | "/dev/stdout") || numbered.is_some_and(|number| number.parse::<u16>().is_ok())
}
