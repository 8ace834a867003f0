//! The rules of the directories and paths that workers see.

use super::Check;
use crate::config::directives::PoolDirective as Key;
use crate::config::message::Refused;
use crate::config::raw::{Pair, RawPool};
use crate::log::messages::config::prefix_not_at_start;
use crate::log::messages::config_pools::PoolError;

/// PHP settings whose relative paths php-fpm completes.
const PATH_SETTINGS: [&str; 15] = [
    "error_log",
    "extension_dir",
    "mime_magic.magicfile",
    "sendmail_path",
    "session.cookie_path",
    "session_pgsql.sem_file_name",
    "soap.wsdl_cache_dir",
    "uploadprogress.file.filename_template",
    "xdebug.output_dir",
    "xdebug.profiler_output_dir",
    "xdebug.trace_output_dir",
    "xmms.path",
    "axis2.client_home",
    "blenc.key_file",
    "coin_acceptor.device",
];

impl Check<'_> {
    pub(super) fn chroot(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(chroot) = pool.values.filled(Key::Chroot) else { return Ok(()) };
        let prefix = pool.values.text(Key::Prefix);
        let chroot = match chroot.find("$prefix") {
            // php-fpm says so and then takes the value as it is.
            Some(at) if at > 0 && !chroot.starts_with('/') => {
                self.messages.log(prefix_not_at_start());
                chroot.to_owned()
            }
            Some(0) => self.below_prefix(prefix, &chroot["$prefix".len()..]),
            _ => self.prefixes.pool_path(prefix, chroot),
        };
        pool.values.set_text(Key::Chroot, chroot.clone());
        if !chroot.starts_with('/') {
            return self.refuse_pool(pool, &PoolError::ChrootRelative { pool: pool.name.clone(), path: chroot });
        }
        if !self.is_directory(&chroot) {
            return self.refuse_pool(pool, &PoolError::ChrootMissing { pool: pool.name.clone(), path: chroot });
        }
        Ok(())
    }

    /// What follows `$prefix`, with the prefix and a slash in front. php-fpm adds the slash, too.
    fn below_prefix(&self, prefix: Option<&str>, rest: &str) -> String {
        let given = prefix.or(self.prefixes.given.as_deref()).unwrap_or(&self.prefixes.php);
        let whole = if rest.is_empty() { given.to_owned() } else { format!("{given}/{rest}") };
        self.prefixes.global_path(&whole)
    }

    pub(super) fn chdir(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        let Some(chdir) = pool.values.filled(Key::Chdir) else { return Ok(()) };
        let chdir = self.prefixes.pool_path(pool.values.text(Key::Prefix), chdir);
        pool.values.set_text(Key::Chdir, chdir.clone());
        let name = pool.name.clone();
        let refusal = if !chdir.starts_with('/') {
            PoolError::ChdirRelative { pool: name, path: chdir }
        } else if let Some(chroot) = pool.values.text(Key::Chroot) {
            let inside = format!("{chroot}/{chdir}");
            if self.is_directory(&inside) {
                return Ok(());
            }
            PoolError::ChdirOutsideChroot { pool: name, path: chdir, chroot: chroot.to_owned(), inside }
        } else if self.is_directory(&chdir) {
            return Ok(());
        } else {
            PoolError::ChdirMissing { pool: name, path: chdir }
        };
        self.refuse_pool(pool, &refusal)
    }

    pub(super) fn php_paths(&mut self, pool: &mut RawPool) {
        if pool.values.text(Key::Chroot).is_some() {
            return;
        }
        let prefix = pool.values.text(Key::Prefix).map(str::to_owned);
        let is_path = |pair: &Pair| PATH_SETTINGS.iter().any(|name| pair.key.eq_ignore_ascii_case(name));
        let syslog =
            |pair: &Pair| pair.key.eq_ignore_ascii_case("error_log") && pair.value.eq_ignore_ascii_case("syslog");
        for pair in pool.php_values.iter_mut().filter(|pair| is_path(pair)) {
            pair.value = self.prefixes.pool_path(prefix.as_deref(), &pair.value);
        }
        for pair in pool.php_admin_values.iter_mut().filter(|pair| is_path(pair) && !syslog(pair)) {
            pair.value = self.prefixes.pool_path(prefix.as_deref(), &pair.value);
        }
    }
}
