//! The rules of the pages that php-fpm answers itself, and of the slow log.

use super::Check;
use crate::config::directives::PoolDirective as Key;
use crate::config::message::Refused;
use crate::config::raw::RawPool;
use crate::log;

/// Frames of a trace if nothing is said.
const TRACE_DEPTH: i32 = 20;

impl Check<'_> {
    pub(super) fn status_path(&mut self, pool: &RawPool) -> Result<(), Refused> {
        let Some(path) = pool.values.filled(Key::PmStatusPath) else { return Ok(()) };
        let apart = pool.status_of.is_some() || pool.values.text(Key::PmStatusListen).is_some();
        match own_page("status", path, apart) {
            Ok(()) => Ok(()),
            Err(text) => self.refuse_pool(log::Level::Error, pool, &text),
        }
    }

    pub(super) fn ping(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(path) = pool.values.filled(Key::PingPath) else {
            pool.values.set_text(Key::PingResponse, None);
            return Ok(());
        };
        if let Err(text) = own_page("ping", path, false) {
            return self.refuse_pool(log::Level::Error, pool, &text);
        }
        match pool.values.text(Key::PingResponse) {
            None => pool.values.set_text(Key::PingResponse, "pong".to_owned()),
            Some("") => {
                return self.refuse_pool(log::Level::Error, pool, "the ping response page '' is not long enough");
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
            let text = "'slowlog' must be specified for use with 'request_slowlog_timeout'";
            return self.refuse_pool(log::Level::Error, pool, text);
        };
        let owner = self.owner_of_logs(pool);
        if let Err(text) = self.appendable(&path, "Unable to create or open slowlog", owner) {
            return self.refuse_in(log::Level::Error, pool, text);
        }
        let end = pool.values.integer(Key::RequestTerminateTimeout);
        if end != 0 && slow > end {
            let text =
                format!("'request_slowlog_timeout' ({slow}) can't be greater than 'request_terminate_timeout' ({end})");
            return self.refuse_pool(log::Level::Error, pool, &text);
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
            let text = "'slowlog' must be specified for use with 'request_slowlog_trace_depth'";
            return self.refuse_pool(log::Level::Error, pool, text);
        }
        if depth < 0 {
            let text = format!("'request_slowlog_trace_depth' ({depth}) must be a positive value");
            return self.refuse_pool(log::Level::Error, pool, &text);
        }
        Ok(())
    }
}

/// The path of a page that php-fpm answers itself; `short` allows a bare `/`.
fn own_page(page: &str, path: &str, short: bool) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("the {page} path '{path}' must start with a '/'"));
    }
    if path.len() < 2 && !short {
        return Err(format!("the {page} path '{path}' is not long enough"));
    }
    if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte)) {
        return Err(format!("the {page} path '{path}' must contain only the following characters '[alphanum]/_-.~'"));
    }
    Ok(())
}
