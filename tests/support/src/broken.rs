//! Binaries and libraries that do not start, as replacements for good ones.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::extension::compile;
use crate::sandbox::Sandbox;
use crate::{Outcome, ensure};

/// The fault of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It lacks our entry point.
    NoEntry,
    /// It needs a symbol that does not exist.
    MissingSymbol,
    /// It prints that it was built for another PHP, and exits.
    WrongApi,
    /// It calls abort() while it is loaded.
    Abort,
    /// It isn't a library.
    Garbage,
    /// Only a part of it was copied.
    Truncated,
}

/// Large enough to look like a library, too small to contain its code: the end of the file is only for debuggers.
const TRUNCATED: usize = 64 * 1024;

impl Fault {
    /// All faults.
    pub const ALL: [Self; 6] =
        [Self::NoEntry, Self::MissingSymbol, Self::WrongApi, Self::Abort, Self::Garbage, Self::Truncated];
}

/// Makes a library with that fault that otherwise looks like `real`.
///
/// # Errors
/// When it can't be compiled.
pub fn library(sandbox: &Sandbox, real: &Path, fault: Fault) -> Outcome<PathBuf> {
    let path = sandbox.file(&format!("{fault:?}.so"));
    match fault {
        Fault::Garbage => fs::write(&path, "not a library\n")?,
        Fault::Truncated => {
            let bytes = fs::read(real)?;
            fs::write(&path, &bytes[..bytes.len().min(TRUNCATED)])?;
        }
        _ => compile(&source(fault, &entries(real)?), &path, &["-shared", "-fPIC", "-Wl,-z,now"])?,
    }
    Ok(path)
}

/// Puts a copy of `with` in the place of `path` in one step.
///
/// # Errors
/// When it can't be copied.
pub fn replace(path: &Path, with: &Path) -> Outcome {
    let next = path.with_extension("new");
    fs::copy(with, &next)?;
    Ok(fs::rename(next, path)?)
}

/// A program that ends at once with status 1.
///
/// # Errors
/// When it can't be written.
pub fn program(sandbox: &Sandbox) -> Outcome<PathBuf> {
    let path = sandbox.file("ends-at-once");
    fs::write(&path, "#!/bin/sh\nexit 1\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn source(fault: Fault, entries: &[String]) -> String {
    let body = match fault {
        Fault::NoEntry => return "int cgi_fpm_without_entry;\n".to_owned(),
        Fault::MissingSymbol => "return cgi_fpm_nobody_has_this();",
        _ => "dprintf(2, \"cgi-fpm: built for PHP API 20000101\\n\"); _exit(78);",
    };
    let mut text =
        "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\nint cgi_fpm_nobody_has_this(void);\n".to_owned();
    for name in entries {
        text.push_str(&format!("int {name}(void) {{ {body} }}\n"));
    }
    if fault == Fault::Abort {
        text.push_str("__attribute__((constructor)) static void fail(void) { abort(); }\n");
    }
    text
}

/// The functions that the real library exports.
fn entries(real: &Path) -> Outcome<Vec<String>> {
    let output = Command::new("nm").args(["-D", "--defined-only"]).arg(real).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let functions = text.lines().filter_map(|line| line.split_once(" T ").map(|(_, name)| name));
    let plain = functions.map(|name| name.split('@').next().unwrap_or(name).to_owned());
    let names: Vec<String> = plain.collect();
    ensure!(!names.is_empty(), "{} exports nothing", real.display());
    Ok(names)
}
