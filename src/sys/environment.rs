//! The environment of a single-threaded process.

use std::env;

/// Sets these variables, after removing all others if `clear`.
pub fn replace(clear: bool, variables: &[(String, String)]) {
    if clear {
        let names: Vec<_> = env::vars_os().map(|(name, _)| name).collect();
        for name in names {
            // SAFETY: only single-threaded processes of this crate call this: nobody reads the environment meanwhile.
            unsafe { env::remove_var(name) };
        }
    }
    for (name, value) in variables.iter().filter(|(name, _)| !name.is_empty() && !name.contains(['=', '\0'])) {
        // SAFETY: as above.
        unsafe { env::set_var(name, value.replace('\0', "")) };
    }
}

/// Removes one variable.
pub fn remove(name: &str) {
    // SAFETY: as in `replace`.
    unsafe { env::remove_var(name) };
}

/// Sets one variable.
pub fn set(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: as in `replace`.
    unsafe { env::set_var(name, value) };
}
