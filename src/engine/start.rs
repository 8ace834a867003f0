//! How PHP is started: its options, the files that it depends on, and what the process does at points of the start.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{EngineKey, PhpIni};

/// How a zygote starts PHP: the php.ini options of the command line and of the entry point (patched or stock
/// php-cgi).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineOptions {
    /// `-c`: php.ini, or the directory to look for it in.
    pub ini_path: Option<PathBuf>,
    /// `-n`: no php.ini at all.
    pub no_ini: bool,
    /// `-d name[=value]`, in order, as given.
    pub defines: Vec<String>,
    /// The directory to scan for further ini files instead of the compiled-in one (with a stock php-cgi: php-fpm's).
    pub scan_dir: Option<PathBuf>,
    /// `-e`: extended information for debuggers and profilers.
    pub extended_info: bool,
}

/// A directory in which no php.ini can be.
const NOWHERE: &str = "/dev/null/none";

impl EngineOptions {
    /// The options for a pool: what it says itself replaces what the command line says. Its defines come last, so they count.
    #[must_use]
    pub fn of_pool(&self, own: &EngineKey) -> Self {
        let mut options = self.clone();
        match &own.ini {
            None => {}
            Some(PhpIni::Nothing) => (options.ini_path, options.no_ini) = (None, true),
            Some(PhpIni::At(path)) => (options.ini_path, options.no_ini) = (Some(path.clone()), false),
        }
        if let Some(directories) = &own.scan_dir {
            // With `-n` PHP would not scan them.
            if options.no_ini && !directories.as_os_str().is_empty() {
                options.no_ini = false;
                options.ini_path.get_or_insert_with(|| NOWHERE.into());
            }
            options.scan_dir = Some(directories.clone());
        }
        options.defines.extend(own.defines.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
        options
    }
}

/// A value as PHP's ini parser reads it back. In single quotes it replaces nothing; a single quote itself needs double ones.
fn quoted(value: &str) -> String {
    let parts: Vec<String> = value.split('\'').map(|part| format!("'{part}'")).collect();
    // PHP knows no empty text in single quotes.
    match parts.join("\"'\"").replace("''", "") {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => text,
    }
}

/// A php-cgi to execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Absolute path.
    pub path: PathBuf,
    /// The library to load into it by `LD_PRELOAD`; `None`: it finds its own.
    pub preload: Option<PathBuf>,
}

/// A file that PHP or an extension reads only when it starts. It exists, and this process could read it when it was
/// looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFile {
    /// The setting of php.ini that names it.
    pub setting: String,
    /// Where it is.
    pub path: PathBuf,
    /// PHP certainly reads it when it starts, and must not serve without it.
    pub needed: bool,
}

/// The files and directories that a PHP depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IniFiles {
    /// php.ini, if it has read one.
    pub php_ini: Option<PathBuf>,
    /// This file, the directories of further ini files and these files, and what they name to be loaded at the start.
    pub all: Vec<PathBuf>,
    /// A directory for compiled scripts, which the engine uses only if it is open when it starts.
    pub file_cache: Option<PathBuf>,
}

/// Finds the files that the rest of the engine's start will read.
pub type FindStartFiles<'a> = dyn Fn() -> Vec<StartFile> + 'a;

/// What the process does at points of the engine's start. It may change its user and its root directory there.
pub trait StartSteps {
    /// php.ini has been read; `after_ini` follows. `files` finds the files that this PHP depends on.
    fn ini_read(&mut self, files: &dyn Fn() -> IniFiles) {
        let _ = files;
    }

    /// php.ini has been read, and nothing that it names is loaded yet.
    ///
    /// # Errors
    /// The engine must not be started.
    fn after_ini(&mut self, files: &FindStartFiles<'_>) -> Result<(), StepError>;

    /// All extensions are loaded. The opcode cache maps its memory next.
    ///
    /// # Errors
    /// The engine must not be started.
    fn extensions_loaded(&mut self) -> Result<(), StepError> {
        Ok(())
    }

    /// Before preloading; without it, at the end of the start.
    ///
    /// # Errors
    /// The engine must not run any code.
    fn before_user_code(&mut self) -> Result<(), StepError>;
}

/// No steps: the process stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct NoSteps;

impl StartSteps for NoSteps {
    fn after_ini(&mut self, _files: &FindStartFiles<'_>) -> Result<(), StepError> {
        Ok(())
    }

    fn before_user_code(&mut self) -> Result<(), StepError> {
        Ok(())
    }
}

/// Why a step failed. The code that passes the steps knows the type.
pub type StepError = Box<dyn std::error::Error>;

#[cfg(test)]
mod tests {
    use super::*;

    fn command_line() -> EngineOptions {
        EngineOptions {
            ini_path: Some("/etc/php.ini".into()),
            scan_dir: Some("/etc/conf.d".into()),
            defines: vec!["a=1".to_owned()],
            extended_info: true,
            ..EngineOptions::default()
        }
    }

    #[test]
    fn a_pool_without_settings_has_those_of_the_command_line() {
        assert_eq!(command_line().of_pool(&EngineKey::default()), command_line());
    }

    #[test]
    fn the_pools_own_settings_win() {
        let key = EngineKey {
            ini: Some(PhpIni::At("/own.ini".into())),
            scan_dir: Some("".into()),
            defines: vec![("a".to_owned(), "x y".to_owned())],
            ..EngineKey::default()
        };
        let given = EngineOptions { no_ini: true, ..command_line() };
        let of_pool = EngineOptions {
            ini_path: Some("/own.ini".into()),
            no_ini: false,
            scan_dir: Some("".into()),
            defines: vec!["a=1".to_owned(), "a='x y'".to_owned()],
            extended_info: true,
        };
        assert_eq!(given.of_pool(&key), of_pool);
    }

    #[test]
    fn without_php_ini_only_the_pools_own_directories_are_scanned() {
        let none = EngineKey { ini: Some(PhpIni::Nothing), ..EngineKey::default() };
        let options = command_line().of_pool(&none);
        assert_eq!((options.ini_path, options.no_ini), (None, true));
        let scanned = EngineKey { scan_dir: Some("/own.d".into()), ..none };
        let options = command_line().of_pool(&scanned);
        assert_eq!((options.ini_path, options.no_ini), (Some(NOWHERE.into()), false));
        assert_eq!(options.scan_dir, Some("/own.d".into()));
    }

    #[test]
    fn values_are_quoted() {
        for (value, text) in
            [("", "\"\""), ("On", "'On'"), ("a\"b", "'a\"b'"), ("it's", "'it'\"'\"'s'"), ("'", "\"'\"")]
        {
            assert_eq!(quoted(value), text);
        }
    }
}
