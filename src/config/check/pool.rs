//! The rules of a pool: one function for each subject, called in php-fpm's order.

use super::Check;
use super::global::nice_value;
use crate::config::directives::PoolDirective as Key;
use crate::config::listen;
use crate::config::message::Refused;
use crate::config::raw::RawPool;
use crate::config::types::ProcessManager;
use crate::log::messages::config_pools::PoolError;

impl Check<'_> {
    /// Checks a pool. Returns the pool for its `pm.status_listen`, if it has one, which is checked after all others.
    pub(super) fn pool(
        &mut self,
        pool: &mut RawPool,
        index: usize,
        events: Option<&str>,
    ) -> Result<Option<RawPool>, Refused> {
        self.prefix(pool)?;
        self.user(pool)?;
        self.listen(pool)?;
        if !nice_value(pool.values.integer(Key::ProcessPriority)) {
            self.refuse_pool(pool, &PoolError::Priority { pool: pool.name.clone() })?;
        }
        self.manager(pool, events)?;
        let status = pool.values.text(Key::PmStatusListen).is_some().then(|| status_pool(pool, index));
        self.status_path(pool)?;
        self.ping(pool)?;
        self.access_log(pool);
        self.request_id(pool)?;
        self.slowlog(pool)?;
        self.trace_depth(pool)?;
        self.chroot(pool)?;
        self.chdir(pool)?;
        if pool.values.text(Key::SecurityLimitExtensions).is_none() {
            pool.values.set_text(Key::SecurityLimitExtensions, ".php .phar".to_owned());
        }
        self.php_paths(pool);
        self.engine(pool)?;
        Ok(status)
    }

    fn prefix(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(prefix) = pool.values.filled(Key::Prefix) else { return Ok(()) };
        let prefix = self.prefixes.global_path(prefix);
        pool.values.set_text(Key::Prefix, prefix.clone());
        if self.is_directory(&prefix) {
            return Ok(());
        }
        self.refuse_pool(pool, &PoolError::Prefix { pool: pool.name.clone(), path: prefix })
    }

    fn user(&mut self, pool: &RawPool) -> Result<(), Refused> {
        if pool.values.text(Key::User).is_none() && self.options.root && !self.options.allow_root {
            return self.refuse_pool(pool, &PoolError::NoUser { pool: pool.name.clone() });
        }
        Ok(())
    }

    fn listen(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(addresses) = pool.values.filled(Key::Listen) else {
            return self.refuse_pool(pool, &PoolError::NoListen { pool: pool.name.clone() });
        };
        let prefix = pool.values.text(Key::Prefix);
        let absolute = listen::split(addresses).into_iter().map(|address| {
            if listen::is_unix(address) { self.prefixes.pool_path(prefix, address) } else { address.to_owned() }
        });
        let absolute = absolute.collect::<Vec<_>>().join(", ");
        pool.values.set_text(Key::Listen, absolute);
        Ok(())
    }

    fn request_id(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(name) = pool.values.filled(Key::LogRequestId).filter(|name| !may_be_request_id(name)) else {
            return Ok(());
        };
        self.refuse_pool(pool, &PoolError::RequestId { pool: pool.name.clone(), name: name.to_owned() })
    }

    fn access_log(&mut self, pool: &mut RawPool) {
        let prefix = pool.values.text(Key::Prefix);
        let Some(path) = pool.values.filled(Key::AccessLog) else { return };
        let path = self.prefixes.pool_path(prefix, path);
        pool.values.set_text(Key::AccessLog, path);
        if pool.values.text(Key::AccessFormat).is_none() {
            pool.values.set_text(Key::AccessFormat, "%R - %u %t \"%m %r\" %s".to_owned());
        }
    }
}

/// Whether a FastCGI parameter may have the id of a request. PHP and php-fpm use some for other purposes; an id in place of their
/// value would change which script runs, or what it takes the client for.
fn may_be_request_id(name: &str) -> bool {
    const TAKEN: &[&str] = &[
        "AUTH_TYPE",
        "DOCUMENT_ROOT",
        "DOCUMENT_URI",
        "GATEWAY_INTERFACE",
        "HTTPS",
        "HTTP_AUTHORIZATION",
        "HTTP_COOKIE",
        "HTTP_HOST",
        "HTTP_PROXY",
        "HTTP_TRACEPARENT",
        "PATH_INFO",
        "PATH_TRANSLATED",
        "QUERY_STRING",
        "REQUEST_BODY_FILE",
        "REQUEST_METHOD",
        "REQUEST_SCHEME",
        "REQUEST_URI",
    ];
    const PREFIXES: &[&str] = &["CONTENT_", "FCGI_", "ORIG_", "PHP_", "REDIRECT_", "REMOTE_", "SCRIPT_", "SERVER_"];
    let is_name = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name && !TAKEN.contains(&name) && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The hidden pool that serves `pm.status_listen`.
fn status_pool(pool: &mut RawPool, index: usize) -> RawPool {
    if pool.values.text(Key::PmStatusPath).is_none() {
        pool.values.set_text(Key::PmStatusPath, "/".to_owned());
    }
    let mut status = RawPool::new(&format!("{}_status", pool.name));
    status.status_of = Some(index);
    status.values.set_text(Key::Listen, pool.values.text(Key::PmStatusListen).map(str::to_owned));
    for key in [
        Key::ListenAclGroups,
        Key::ListenAclUsers,
        Key::ListenAllowedClients,
        Key::ListenGroup,
        Key::ListenOwner,
        Key::ListenMode,
        Key::User,
        Key::Group,
        Key::PmStatusPath,
        Key::PingPath,
        Key::PingResponse,
        Key::Php,
        Key::PhpLibrary,
        Key::PhpIni,
        Key::PhpIniScanDir,
    ] {
        status.values.set_text(key, pool.values.text(key).map(str::to_owned));
    }
    status.values.set_process_manager(Key::Pm, ProcessManager::Ondemand);
    status.values.set_integer(Key::PmMaxChildren, 2);
    status.php_values = pool.php_values.iter().rev().cloned().collect();
    status.php_defines.clone_from(&pool.php_defines);
    status.php_admin_values = pool.php_admin_values.iter().rev().cloned().collect();
    status
}
