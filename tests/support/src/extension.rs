//! Small PHP extensions, compiled for a test.

use std::fs;
use std::path::PathBuf;
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
    let (from, to) = (sandbox.file(&format!("{name}.c")), sandbox.file(&format!("{name}.so")));
    fs::write(&from, source)?;
    let asked = Command::new(target.prefix.join("bin/php-config")).arg("--includes").output()?;
    let includes = String::from_utf8(asked.stdout)?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-w", "-DCOMPILE_DL"]).args(includes.split_whitespace()).arg("-o");
    let ran = compiler.arg(&to).arg(&from).output()?;
    ensure!(ran.status.success(), "cc: {}", String::from_utf8_lossy(&ran.stderr));
    Ok(to)
}
