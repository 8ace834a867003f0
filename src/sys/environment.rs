//! Changes of the environment. Safe forms of these functions are in [`super::single_threaded`].

use std::env;

/// Sets these variables, after removing all others if `clear`. Names that no environment can hold are left out.
///
/// # Safety
/// No other thread reads or writes the environment meanwhile, in C code or in Rust.
pub unsafe fn replace(clear: bool, variables: &[(String, String)]) {
    if clear {
        let names: Vec<_> = env::vars_os().map(|(name, _)| name).collect();
        for name in names {
            // SAFETY: the caller vouches that no other thread uses the environment.
            unsafe { env::remove_var(name) };
        }
    }
    for (name, value) in variables.iter().filter(|(name, _)| !name.is_empty() && !name.contains(['=', '\0'])) {
        // SAFETY: the caller vouches that no other thread uses the environment.
        unsafe { env::set_var(name, value.replace('\0', "")) };
    }
}

/// Removes one variable.
///
/// # Safety
/// No other thread reads or writes the environment meanwhile, in C code or in Rust.
pub unsafe fn remove(name: &str) {
    // SAFETY: the caller vouches that no other thread uses the environment.
    unsafe { env::remove_var(name) };
}

/// Sets one variable.
///
/// # Safety
/// No other thread reads or writes the environment meanwhile, in C code or in Rust.
pub unsafe fn set(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: the caller vouches that no other thread uses the environment.
    unsafe { env::set_var(name, value) };
}
