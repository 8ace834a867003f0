//! Rules that refuse a script.

/// Whether a path is free of `..` components, which some web servers do not remove.
#[must_use]
pub fn stays_below(path: &[u8]) -> bool {
    !path.split(|&byte| byte == b'/').any(|component| component == b"..")
}

/// Whether `security.limit_extensions` allows the script. An empty list allows all; the comparison is byte by byte.
#[must_use]
pub fn extension_allowed(script: &[u8], allowed: &[Vec<u8>]) -> bool {
    allowed.is_empty() || allowed.iter().any(|extension| script.len() > extension.len() && script.ends_with(extension))
}
