//! The rules of the pages that php-fpm answers itself, and of the slow log.

use super::Check;
use crate::config::directives::PoolDirective as Key;
use crate::config::message::Refused;
use crate::config::raw::RawPool;
use crate::log::messages::config_pools::{OwnPage, PoolError};
use crate::sys::failure::reason;

/// The default number of frames of a trace.
const TRACE_DEPTH: i32 = 20;

impl Check<'_> {
    pub(super) fn status_path(&mut self, pool: &RawPool) -> Result<(), Refused> {
        let Some(path) = pool.values.filled(Key::PmStatusPath) else { return Ok(()) };
        let apart = pool.status_of.is_some() || pool.values.text(Key::PmStatusListen).is_some();
        own_page(pool, OwnPage::Status, path, apart).or_else(|error| self.refuse_page(pool, OwnPage::Status, &error))
    }

    pub(super) fn ping(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(path) = pool.values.filled(Key::PingPath) else {
            pool.values.set_text(Key::PingResponse, None);
            return Ok(());
        };
        if let Err(error) = own_page(pool, OwnPage::Ping, path, false) {
            return self.refuse_page(pool, OwnPage::Ping, &error);
        }
        match pool.values.text(Key::PingResponse) {
            None => pool.values.set_text(Key::PingResponse, "pong".to_owned()),
            Some("") => {
                return self.refuse_pool(pool, &PoolError::PingResponse { pool: pool.name.clone() });
            }
            Some(_) => {}
        }
        Ok(())
    }

    pub(super) fn slowlog(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let prefix = pool.values.text(Key::Prefix);
        let path = pool.values.filled(Key::Slowlog).map(|path| self.prefixes.pool_path(prefix, path));
        if let Some(path) = &path {
            pool.values.set_text(Key::Slowlog, path.clone());
        }
        let slow = pool.values.integer(Key::RequestSlowlogTimeout);
        if slow == 0 {
            return Ok(());
        }
        let Some(path) = path else {
            return self.refuse_pool(pool, &PoolError::NoSlowlog { pool: pool.name.clone() });
        };
        let owner = self.owner_of_logs(pool);
        if self.examines
            && let Err(e) = self.appendable(&path, owner)
        {
            return self.refuse_pool(pool, &PoolError::SlowlogNotOpened { path, reason: reason(&e) });
        }
        let end = pool.values.integer(Key::RequestTerminateTimeout);
        if end != 0 && slow > end {
            return self.refuse_pool(pool, &PoolError::SlowAfterEnd { pool: pool.name.clone(), slow, end });
        }
        Ok(())
    }

    pub(super) fn trace_depth(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let depth = pool.values.integer(Key::RequestSlowlogTraceDepth);
        if depth == 0 {
            pool.values.set_integer(Key::RequestSlowlogTraceDepth, TRACE_DEPTH);
            return Ok(());
        }
        if pool.values.filled(Key::Slowlog).is_none() {
            return self.refuse_pool(pool, &PoolError::DepthWithoutSlowlog { pool: pool.name.clone() });
        }
        if depth < 0 {
            return self.refuse_pool(pool, &PoolError::TraceDepth { pool: pool.name.clone(), depth });
        }
        Ok(())
    }
}

/// The path of a page that php-fpm answers itself; `short` allows a bare `/`.
fn own_page(pool: &RawPool, page: OwnPage, path: &str, short: bool) -> Result<(), PoolError> {
    let (pool, path) = (pool.name.clone(), path.to_owned());
    if !path.starts_with('/') {
        return Err(PoolError::PageRelative { pool, page, path });
    }
    if path.len() < 2 && !short {
        return Err(PoolError::PageShort { pool, page, path });
    }
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte)) {
        return Err(PoolError::PageCharacters { pool, page, path });
    }
    Ok(())
}
