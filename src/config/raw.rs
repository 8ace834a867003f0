//! The statements of the files, sorted into sections but not yet checked: php-fpm's state after reading.

use super::directives::{GlobalDirective, PoolDirective};
use super::late::LateValue;
use super::section::Section;
use super::values;
use crate::access_log::Format;
use crate::log::messages::config_values::StatementError;

/// One entry of `name[key] = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
    /// From `php_flag` or `php_admin_flag`.
    pub(crate) flag: bool,
    /// The line, if only PHP knows all names in it.
    pub(crate) late: Option<LateValue>,
}

/// One pool. The lists are in the order of the file; php-fpm keeps and applies them in reverse order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPool {
    pub(crate) name: String,
    pub(crate) values: Section<PoolDirective>,
    pub(crate) env: Vec<Pair>,
    pub(crate) php_values: Vec<Pair>,
    pub(crate) php_admin_values: Vec<Pair>,
    pub(crate) suppressed_paths: Vec<String>,
    /// `process.php_define`
    pub(crate) php_defines: Vec<Pair>,
    /// `access.format`, read; none without an access log, where php-fpm does not look at it.
    pub(crate) access_format: Option<Format>,
    /// Made for `pm.status_listen` of the pool with this index.
    pub(crate) status_of: Option<usize>,
}

impl RawPool {
    fn array(&mut self, name: &str, key: &str, value: &str, late: Option<LateValue>) -> Result<(), StatementError> {
        let (list, flag) = match name {
            "env" if value.is_empty() => return Err(StatementError::EmptyValue),
            "env" => (&mut self.env, false),
            "php_value" => (&mut self.php_values, false),
            "php_flag" => (&mut self.php_values, true),
            "php_admin_value" => (&mut self.php_admin_values, false),
            "php_admin_flag" => (&mut self.php_admin_values, true),
            "process.php_define" if !is_setting(key) => {
                return Err(StatementError::DefineName { name: key.to_owned() });
            }
            "process.php_define" => (&mut self.php_defines, false),
            "access.suppress_path" => {
                self.suppressed_paths.push(value.replace("$pool", &self.name));
                return Ok(());
            }
            _ => return Err(StatementError::UnknownList { name: name.to_owned() }),
        };
        let value = if flag {
            let wrong = |reason| StatementError::Flag { name: name.to_owned(), key: key.to_owned(), reason };
            let yes = values::boolean(value).map_err(wrong)?;
            String::from(if yes { "1" } else { "0" })
        } else {
            value.replace("$pool", &self.name)
        };
        let late = late.filter(|_| !flag && name.starts_with("php_"));
        list.push(Pair { key: key.to_owned(), value, flag, late });
        Ok(())
    }

    /// A pool with all defaults.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Section::new(),
            env: Vec::new(),
            php_values: Vec::new(),
            php_admin_values: Vec::new(),
            suppressed_paths: Vec::new(),
            php_defines: Vec::new(),
            access_format: None,
            status_of: None,
        }
    }
}

/// Whether this can be the name of a PHP setting in a line that PHP reads.
fn is_setting(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) global: Section<GlobalDirective>,
    pub(crate) pools: Vec<RawPool>,
    /// systemd's watchdog is on; it expects a report each `systemd_interval`.
    pub(crate) systemd_watchdog: bool,
    /// The section that directives go to; `None` is `[global]`.
    current: Option<usize>,
}

impl Raw {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self { global: Section::new(), pools: Vec::new(), systemd_watchdog: false, current: None }
    }

    /// The event mechanism that php-fpm would use on Linux; `None` if it has none of that name.
    pub(crate) fn events_mechanism(&self) -> Option<&'static str> {
        let name = self.global.text(GlobalDirective::EventsMechanism).unwrap_or("epoll");
        ["epoll", "poll", "select"].into_iter().find(|known| known.eq_ignore_ascii_case(name))
    }

    /// `[name]`: continues a known section, or adds a pool.
    pub(crate) fn enter(&mut self, name: &str) {
        if name.eq_ignore_ascii_case("global") {
            self.current = None;
            return;
        }
        let known = self.pools.iter().position(|pool| pool.name.eq_ignore_ascii_case(name));
        self.current = known.or_else(|| {
            self.pools.push(RawPool::new(name));
            Some(self.pools.len() - 1)
        });
    }

    /// Directives go to a pool, not to `[global]`.
    pub(crate) fn in_pool(&self) -> bool {
        self.current.is_some()
    }

    /// `name = value`.
    ///
    /// # Errors
    /// The section has no such directive, or the value is refused.
    pub(crate) fn entry(&mut self, name: &str, value: &str) -> Result<(), StatementError> {
        match self.current.and_then(|index| self.pools.get_mut(index)) {
            None => self.global.assign(name, value, None),
            Some(pool) => pool.values.assign(name, value, Some(&pool.name)),
        }
    }

    /// `name[key] = value`; `late` is the line, if only PHP knows all names in it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn array(
        &mut self,
        name: &str,
        key: &str,
        value: &str,
        late: Option<LateValue>,
    ) -> Result<(), Vec<StatementError>> {
        if name == "access.suppress_path" {
            let mut wrong = Vec::new();
            if !key.is_empty() {
                wrong.push(StatementError::SuppressKey);
            }
            if !value.starts_with('/') {
                wrong.push(StatementError::SuppressPath);
            }
            if !wrong.is_empty() {
                return Err(wrong);
            }
        } else if key.is_empty() {
            return Err(vec![StatementError::NoKey { name: name.to_owned() }]);
        }
        match self.current.and_then(|index| self.pools.get_mut(index)) {
            None => Err(vec![StatementError::ListInGlobal]),
            Some(pool) => pool.array(name, key, value, late).map_err(|error| vec![error]),
        }
    }
}
