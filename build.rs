//! Passes the PHP version of the bindings and the hashes of the monitor's style and script to the compiler, and compiles the only part
//! that cannot be written in Rust: setjmp.
use std::process::Command;

use base64::Engine as _;
use sha2::Digest as _;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/php/try.c");
    println!("cargo:rerun-if-env-changed=PHP_CONFIG");
    for (name, file) in [("STYLE", "src/monitor/page/page.css"), ("SCRIPT", "src/monitor/page/page.js")] {
        println!("cargo:rerun-if-changed={file}");
        println!("cargo:rustc-env=CGI_FPM_PAGE_{name}={}", hash(file));
    }
    println!("cargo:rustc-check-cfg=cfg(php84)");
    println!("cargo:rustc-check-cfg=cfg(php85)");
    println!("cargo:rustc-check-cfg=cfg(php_debug)");
    if std::env::var_os("CARGO_FEATURE_PHP").is_none() {
        return;
    }
    let program = std::env::var_os("PHP_CONFIG").unwrap_or_else(|| "php-config".into());
    let version = match Command::new(&program).arg("--version").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => panic!("{} doesn't run: set PHP_CONFIG, or build with --no-default-features", program.display()),
    };
    println!("cargo:rustc-env=CGI_FPM_PHP_VERSION={version}");
    // php-fpm's `-v` prints its compile time; SOURCE_DATE_EPOCH makes builds reproducible.
    let epoch = std::env::var("SOURCE_DATE_EPOCH").map_or("now".to_owned(), |seconds| format!("@{seconds}"));
    let built = Command::new("date").args(["-u", "-d", &epoch, "+%b %e %Y %H:%M:%S"]).env("LC_ALL", "C").output();
    let built = built.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    println!("cargo:rustc-env=CGI_FPM_BUILT={built}");
    let minor: u32 = version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
    for known in 84..=85 {
        if version.starts_with('8') && 80 + minor >= known {
            println!("cargo:rustc-cfg=php{known}");
        }
    }
    let headers = Command::new(&program).arg("--include-dir").output();
    let headers = headers.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let choices = std::fs::read_to_string(format!("{headers}/main/php_config.h")).unwrap_or_default();
    if choices.lines().any(|line| line.split_whitespace().eq(["#define", "ZEND_DEBUG", "1"])) {
        println!("cargo:rustc-cfg=php_debug");
    }
    let places = std::fs::read_to_string(format!("{headers}/main/build-defs.h")).unwrap_or_default();
    for name in ["PHP_PREFIX", "PHP_SYSCONFDIR", "PHP_LOCALSTATEDIR"] {
        println!("cargo:rustc-env=CGI_FPM_{name}={}", defined(&places, name).unwrap_or_default());
    }
    cc::Build::new().file("src/php/try.c").warnings(true).compile("cgi_fpm_try");
}

/// The hash of a file as Content-Security-Policy names it.
fn hash(file: &str) -> String {
    let Ok(bytes) = std::fs::read(file) else { panic!("cannot read {file}") };
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(bytes)))
}

/// The string that a C header defines `name` as.
fn defined<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let line = header.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
    line.split('"').nth(1)
}
