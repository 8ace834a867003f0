//! Small PHP extensions and programs in C, compiled for a test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::ensure;
use crate::sandbox::Sandbox;
use crate::target::Target;

/// Compiles an extension from C with the headers of the target's PHP; Debian's php-cgi of the same minor version loads it as well.
///
/// # Errors
/// When it doesn't compile.
pub fn build(target: &Target, sandbox: &Sandbox, name: &str, source: &str) -> Outcome<PathBuf> {
    let to = sandbox.file(&format!("{name}.so"));
    let asked = Command::new(target.prefix.join("bin/php-config")).arg("--includes").output()?;
    let includes = String::from_utf8(asked.stdout)?;
    let options: Vec<&str> =
        ["-shared", "-fPIC", "-DCOMPILE_DL"].into_iter().chain(includes.split_whitespace()).collect();
    compile(source, &to, &options)?;
    Ok(to)
}

/// Compiles a shared library with that file name.
///
/// # Errors
/// When it doesn't compile.
pub fn library(sandbox: &Sandbox, name: &str, source: &str) -> Outcome<PathBuf> {
    let to = sandbox.file(name);
    compile(source, &to, &["-shared", "-fPIC"])?;
    Ok(to)
}

/// Compiles a program of that name.
///
/// # Errors
/// When it doesn't compile.
pub fn program(sandbox: &Sandbox, name: &str, source: &str) -> Outcome<PathBuf> {
    let to = sandbox.file(name);
    compile(source, &to, &[])?;
    Ok(to)
}

/// Compiles C to that file, without warnings.
pub(crate) fn compile(source: &str, to: &Path, options: &[&str]) -> Outcome {
    let from = to.with_extension("c");
    fs::write(&from, source)?;
    let ran = Command::new("cc").arg("-w").args(options).arg("-o").arg(to).arg(&from).output()?;
    ensure!(ran.status.success(), "cc: {}", String::from_utf8_lossy(&ran.stderr));
    Ok(())
}
