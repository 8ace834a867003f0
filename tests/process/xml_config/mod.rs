//! The original patch's XML php-fpm.conf: old files with their expected results, and a server that runs on one.
#![forbid(unsafe_code)]

mod command_line;
mod serving;

use std::fs;
use std::path::{Path, PathBuf};

use cgi_fpm::config::{LoadOptions, Message, Messages, convert, load};
use nix::sys::signal::Signal;
use testkit::clock::ms;
use testkit::server::Server;
use testkit::{Outcome, ensure};

/// The files in `files`: `NAME.conf`, and `NAME.expected` with the lines of `-tt`, or those of the refusal.
fn old_files() -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/xml_config/files"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    ensure!(files.len() >= 8, "only {} files", files.len());
    Ok(files)
}

/// A directory that is PHP's prefix, with the file in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(text: &str) -> Outcome<Self> {
        let place = Self(tempfile::tempdir()?);
        fs::create_dir(place.0.path().join("logs"))?;
        place.put("php-fpm.conf", text)?;
        Ok(place)
    }

    fn put(&self, name: &str, text: &str) -> Outcome {
        let dir = self.0.path().to_string_lossy().into_owned();
        Ok(fs::write(self.0.path().join(name), text.replace("{{DIR}}", &dir))?)
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            php_prefix: self.0.path().to_owned(),
            local_state_dir: self.0.path().join("var"),
            root: true,
            ..LoadOptions::default()
        }
    }

    /// The lines of `-tt` for a file.
    fn tested(&self, name: &str) -> Vec<String> {
        let loaded = load(&self.0.path().join(name), &self.options());
        let tested = loaded.and_then(|loaded| loaded.test(true));
        self.lines(&tested.unwrap_or_else(|error| error.messages))
    }

    fn lines(&self, messages: &Messages) -> Vec<String> {
        let dir = self.0.path().to_string_lossy().into_owned();
        let line = |message: &Message| match message {
            Message::Log(line) | Message::Hint(line) => format!("{:?}: {line}", line.level()).replace(&dir, "{{DIR}}"),
            Message::Stderr(text) => text.clone(),
        };
        messages.lines.iter().map(line).collect()
    }
}

#[test]
fn old_files_mean_what_they_meant_and_broken_ones_are_told_where() -> Outcome {
    for path in old_files()? {
        let place = Place::new(&fs::read_to_string(&path)?)?;
        let expected = fs::read_to_string(path.with_extension("expected"))?;
        let found = place.tested("php-fpm.conf").join("\n") + "\n";
        ensure!(found == expected, "{}:\n{found}--- expected\n{expected}", path.display());
    }
    Ok(())
}

#[test]
fn what_is_converted_is_the_same_configuration() -> Outcome {
    let mut converted = 0;
    for path in old_files()? {
        let place = Place::new(&fs::read_to_string(&path)?)?;
        let Ok((ini, _)) = convert(&place.0.path().join("php-fpm.conf"), &place.options()) else { continue };
        place.put("new.conf", &ini)?;
        let dump = |name: &str| {
            // Notes about the old file, and the file's name, are not part of the configuration.
            let lines = place.tested(name);
            let start = lines.iter().position(|line| line == "Notice: [global]").unwrap_or(lines.len());
            lines[start..lines.len() - 1].to_vec()
        };
        let (old, new) = (dump("php-fpm.conf"), dump("new.conf"));
        ensure!(old.len() > 60 && old == new, "{}: {old:?}\n{new:?}\n{ini}", path.display());
        ensure!(!place.tested("new.conf").iter().any(|line| line.starts_with("Warning")), "{ini}");
        converted += 1;
    }
    ensure!(converted == 3, "{converted} files were converted");
    Ok(())
}

/// `[23-Nov-2026 10:00:00] NOTICE: text`
fn of_today(line: &str) -> bool {
    line.starts_with('[') && line.find("] ") == Some(21)
}

/// Ends a server; returns its complete log.
fn whole_log(mut server: Server) -> Outcome<String> {
    server.supervisor.signal(Signal::SIGTERM);
    server.await_end(ms(10_000))?;
    let text = server.log.text();
    server.stop()?;
    Ok(text)
}
