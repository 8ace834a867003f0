//! Properties of every XML file. Compiled for the property tests and the fuzz targets only.

use super::{LoadOptions, Raw, apply, convert, mapped};
use crate::config::options::PhpNames;
use crate::config::oracle::lines_into;

/// Whatever the bytes are, reading them comes to an end, and what is read without a complaint becomes an ini file that is read the same.
///
/// # Panics
/// When the ini file is another configuration.
pub fn check(text: &[u8]) {
    let options = LoadOptions { php_prefix: "/usr".into(), ..LoadOptions::default() };
    let Ok(mapped) = mapped(text, &options) else { return };
    let mut raw = Raw::new();
    if mapped.lines.iter().try_for_each(|line| apply(line, &mut raw)).is_ok() {
        let ini = convert::ini(&mapped.lines, "x");
        let mut back = Raw::new();
        lines_into(ini.as_bytes(), &PhpNames(&options), &mut back);
        // Where the directives go to is not part of what was said.
        raw.enter("global");
        back.enter("global");
        assert!(raw == back, "{ini}");
    }
}
