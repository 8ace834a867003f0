//! The php-cgi programs that pools name (`process.php`, `process.php_library`): whether they may be started, how they get their
//! library, and which protocol they speak.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Instant;

use super::file_mark::Mark;
use super::hello::{self, Failure};
use super::introductions::Introductions;
use super::program_file::ProgramFile;
use crate::config::PoolConfig;
use crate::engine::Program;
use crate::host::Host;
use crate::ipc::{Introduction, SPOKEN};
use crate::log::messages::programs::ProgramError;
use crate::sys::failure::reason;
use crate::sys::named_file;

const PHP: &str = "process.php";
const LIBRARY: &str = "process.php_library";

/// The program that a pool runs with, and what it has in common with us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// How it is executed.
    pub program: Program,
    /// The highest version of the protocol that both speak.
    pub protocol: u32,
    /// Its PHP version.
    pub php: String,
}

/// Looks at programs, and remembers what it has seen while their files stay the same.
#[derive(Debug)]
pub(crate) struct Programs {
    own: PathBuf,
    own_library: PathBuf,
    own_version: String,
    root: bool,
    introductions: Introductions,
    /// What was found in the files of programs.
    files: Vec<(PathBuf, Mark, ProgramFile)>,
}

impl Programs {
    /// None seen yet. `pools` are all pools of the configuration.
    #[must_use]
    pub(crate) fn new(host: &Host, pools: &[PoolConfig]) -> Self {
        let users = pools.iter().filter_map(|pool| pool.user.as_deref()?.parse().ok()).collect();
        let root = nix::unistd::geteuid().is_root();
        let (own, own_library) = (host.program.clone(), host.library.clone());
        Self {
            own,
            own_library,
            own_version: host.php_version.clone(),
            root,
            introductions: Introductions::new(users),
            files: Vec::new(),
        }
    }

    /// Asks the program of a pool which protocol it speaks, if that is not known.
    ///
    /// # Errors
    /// The pool cannot run with it.
    pub(crate) fn ask(&mut self, pool: &PoolConfig) -> Result<(), ProgramError> {
        if let Some(program) = self.named(pool)? {
            self.introductions.ask(&program);
        }
        Ok(())
    }

    /// Ends programs that have not answered.
    pub(crate) fn abandon(&mut self) {
        self.introductions.abandon();
    }

    /// The program of a pool; `None`: the running one. Waits for its answer.
    ///
    /// # Errors
    /// The pool cannot run with it.
    pub(crate) fn of_pool(&mut self, pool: &PoolConfig) -> Result<Option<Chosen>, ProgramError> {
        let Some(program) = self.named(pool)? else { return Ok(None) };
        // It has less time than that.
        let until = Instant::now() + 2 * hello::LIMIT;
        let answer = self.introductions.of(&program, until).unwrap_or(Err(Failure::Silent));
        self.chosen(pool, program, answer).map(Some)
    }

    /// The same, as far as its answer has come by then.
    ///
    /// # Errors
    /// The pool cannot run with it.
    pub(crate) fn poll_of_pool(
        &mut self,
        pool: &PoolConfig,
        until: Instant,
    ) -> Result<Poll<Option<Chosen>>, ProgramError> {
        let Some(program) = self.named(pool)? else { return Ok(Poll::Ready(None)) };
        match self.introductions.of(&program, until) {
            None => Ok(Poll::Pending),
            Some(answer) => self.chosen(pool, program, answer).map(|chosen| Poll::Ready(Some(chosen))),
        }
    }

    fn chosen(
        &self,
        pool: &PoolConfig,
        program: Program,
        answer: Result<Introduction, Failure>,
    ) -> Result<Chosen, ProgramError> {
        let introduction = answer.map_err(|failure| no_answer(pool, &program.path, failure))?;
        self.require_roots(pool, LIBRARY, &introduction.library)?;
        let protocol = introduction.common().ok_or_else(|| ProgramError::Protocol {
            pool: pool.name.clone(),
            path: shown(&program.path),
            theirs: versions(&introduction.protocol),
            ours: versions(&SPOKEN),
        })?;
        Ok(Chosen { program, protocol, php: introduction.php })
    }

    /// The program that a pool names, and how it gets its library.
    fn named(&mut self, pool: &PoolConfig) -> Result<Option<Program>, ProgramError> {
        let own = &pool.engine;
        if own.program.is_none() && own.library.is_none() {
            return Ok(None);
        }
        let path = own.program.clone().unwrap_or_else(|| self.own.clone());
        self.require_roots(pool, PHP, &path)?;
        let preload = match &own.library {
            Some(library) => {
                self.require_roots(pool, LIBRARY, library)?;
                Some(library.clone())
            }
            None => self.library_for(pool, &path)?,
        };
        Ok(Some(Program { path, preload }))
    }

    /// If we are root: no other user can have made the file.
    fn require_roots(&self, pool: &PoolConfig, directive: &str, path: &Path) -> Result<(), ProgramError> {
        let (pool, directive) = (|| pool.name.clone(), directive.to_owned());
        let unreadable = |e| ProgramError::Unreadable {
            pool: pool(),
            directive: directive.clone(),
            path: shown(path),
            reason: reason(&e),
        };
        if !self.root {
            return std::fs::metadata(path).map(drop).map_err(unreadable);
        }
        match named_file::other_writer(path).map_err(unreadable)? {
            None => Ok(()),
            Some(who) => Err(ProgramError::Writable { pool: pool(), directive, path: shown(path), who }),
        }
    }

    /// A patched php-cgi finds its library itself. Another one gets the library for its version that lies beside ours, or ours if
    /// the version is the same.
    fn library_for(&mut self, pool: &PoolConfig, path: &Path) -> Result<Option<PathBuf>, ProgramError> {
        let file = self.look_into(path).map_err(|e| ProgramError::Unreadable {
            pool: pool.name.clone(),
            directive: PHP.to_owned(),
            path: shown(path),
            reason: reason(&e),
        })?;
        if file.patched {
            return Ok(None);
        }
        let Some(minor) = file.minor() else {
            return Err(ProgramError::NoPhp { pool: pool.name.clone(), path: shown(path) });
        };
        let library = self.own_library.with_file_name(format!("cgi-fpm-{minor}.so"));
        let ours = self.own_version.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'));
        if library.exists() {
            self.require_roots(pool, LIBRARY, &library)?;
            return Ok(Some(library));
        }
        if ours {
            return Ok(Some(self.own_library.clone()));
        }
        Err(ProgramError::NoLibrary {
            pool: pool.name.clone(),
            path: shown(path),
            version: minor.to_owned(),
            expected: shown(&library),
        })
    }

    /// What is in the file of a program. It is large, so it is read again only if it has changed.
    fn look_into(&mut self, path: &Path) -> io::Result<ProgramFile> {
        let mark = Mark::of(path)?;
        if let Some((.., file)) = self.files.iter().find(|(known, at, _)| (known.as_path(), *at) == (path, mark)) {
            return Ok(file.clone());
        }
        let file = ProgramFile::read(path)?;
        self.files.retain(|(known, ..)| known != path);
        self.files.push((path.to_owned(), mark, file.clone()));
        Ok(file)
    }
}

fn no_answer(pool: &PoolConfig, path: &Path, failure: Failure) -> ProgramError {
    let (pool, path) = (pool.name.clone(), shown(path));
    match failure {
        Failure::Silent => ProgramError::Silent { pool, path, limit: hello::LIMIT.as_secs() },
        Failure::Said(text) => ProgramError::NoAnswer { pool, path, text },
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// `2`, or `2 to 3`.
fn versions(spoken: &[u32]) -> String {
    match (spoken.iter().min(), spoken.iter().max()) {
        (Some(lowest), Some(highest)) if lowest < highest => format!("{lowest} to {highest}"),
        (Some(one), _) => one.to_string(),
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_shown_as_a_range() {
        assert_eq!([versions(&[2]), versions(&[3, 2]), versions(&[])], ["2", "2 to 3", "none"]);
    }
}
