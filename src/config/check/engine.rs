//! The rules of `process.php` and the other directives that choose the PHP of a pool. Whether the files exist and fit is a matter
//! of the machine: `-t` and the start look at that.

use std::collections::HashMap;

use super::Check;
use crate::config::convert;
use crate::config::directives::{GlobalDirective, PoolDirective as Key};
use crate::config::message::Refused;
use crate::config::raw::{Raw, RawPool};
use crate::config::types::{EngineKey, NOTHING};
use crate::log::messages::config_pools::PoolError;

const PATHS: [(Key, &str); 3] =
    [(Key::Php, "process.php"), (Key::PhpLibrary, "process.php_library"), (Key::PhpIni, "process.php_ini")];

impl Check<'_> {
    /// Paths have to be absolute.
    pub(super) fn engine(&mut self, pool: &mut RawPool) -> Result<(), Refused> {
        // Without quotes, `none` is the empty value.
        for key in [Key::PhpIni, Key::PhpIniScanDir] {
            if pool.values.text(key).is_some_and(|text| text.is_empty() || text.eq_ignore_ascii_case(NOTHING)) {
                pool.values.set_text(key, NOTHING.to_owned());
            }
        }
        for (key, directive) in PATHS {
            let Some(path) = pool.values.text(key) else { continue };
            let nothing = key == Key::PhpIni && path == NOTHING;
            if !nothing && !path.starts_with('/') {
                return self.relative(pool, directive, path);
            }
        }
        let Some(directories) = pool.values.text(Key::PhpIniScanDir).filter(|text| *text != NOTHING) else {
            return Ok(());
        };
        if let Some(path) = directories.split(':').find(|path| !path.is_empty() && !path.starts_with('/')) {
            return self.relative(pool, "process.php_ini_scan_dir", path);
        }
        if directories.split(':').all(str::is_empty) {
            return self.refuse_pool(pool, &PoolError::ScanDirEmpty { pool: pool.name.clone() });
        }
        Ok(())
    }

    fn relative(&mut self, pool: &RawPool, directive: &str, path: &str) -> Result<(), Refused> {
        let (directive, path) = (directive.to_owned(), path.to_owned());
        self.refuse_pool(pool, &PoolError::EngineRelative { pool: pool.name.clone(), directive, path })
    }

    /// Pools with the same `process.group` have the same PHP.
    pub(super) fn engines_of_groups(&mut self, raw: &Raw) -> Result<(), Refused> {
        let all = raw.global.filled(GlobalDirective::ProcessGroup);
        let mut groups: HashMap<&str, &RawPool> = HashMap::new();
        for pool in raw.pools.iter().filter(|pool| pool.status_of.is_none()) {
            let Some(group) = pool.values.filled(Key::ProcessGroup).or(all) else { continue };
            let other = *groups.entry(group).or_insert(pool);
            if let Some(directive) = difference(&convert::engine(pool), &convert::engine(other)) {
                let error = PoolError::GroupEngine {
                    pool: pool.name.clone(),
                    other: other.name.clone(),
                    group: group.to_owned(),
                    directive: directive.to_owned(),
                };
                return self.refuse_pool(pool, &error);
            }
        }
        Ok(())
    }
}

/// The first directive in which the two differ.
fn difference(one: &EngineKey, other: &EngineKey) -> Option<&'static str> {
    let differences = [
        (one.program != other.program, "process.php"),
        (one.library != other.library, "process.php_library"),
        (one.ini != other.ini, "process.php_ini"),
        (one.scan_dir != other.scan_dir, "process.php_ini_scan_dir"),
        (one.defines != other.defines, "process.php_define"),
    ];
    differences.into_iter().find_map(|(differs, directive)| differs.then_some(directive))
}
