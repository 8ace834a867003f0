//! What programs say when they are asked which protocol they speak. The answers are kept while the files stay the same. Programs answer
//! side by side, and no wait is necessary.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::file_mark::Mark;
use super::hello::{Failure, Hello};
use crate::engine::Program;
use crate::ipc::Introduction;

/// How long a failure counts for other groups with the same program. What has failed at once may succeed later, and costs little.
const FAILURE_COUNTS: Duration = Duration::from_millis(50);
/// The same for a program that has not answered. The machine may have been too busy, or a file system was slow.
const SILENCE_COUNTS: Duration = Duration::from_secs(30);

/// Answers, and programs that were asked.
#[derive(Debug)]
pub(super) struct Introductions {
    /// Of pools. Programs that are asked get another one.
    users: Vec<u32>,
    seen: Vec<Seen>,
    asked: Vec<(Program, Hello)>,
}

/// The answer of a program.
#[derive(Debug)]
struct Seen {
    program: Program,
    marks: Vec<Option<Mark>>,
    at: Instant,
    answer: Result<Introduction, Failure>,
}

impl Introductions {
    /// None yet. `users`: the user ids of pools, as far as they have no account.
    pub(super) fn new(users: Vec<u32>) -> Self {
        Self { users, seen: Vec::new(), asked: Vec::new() }
    }

    /// Asks a program, if its answer is not known.
    pub(super) fn ask(&mut self, program: &Program) {
        if self.known(program).is_none() && !self.asked.iter().any(|(asked, _)| asked == program) {
            self.asked.push((program.clone(), Hello::ask(program, &self.users)));
        }
    }

    /// Ends programs that have not answered.
    pub(super) fn abandon(&mut self) {
        self.asked.clear();
    }

    /// What the program says, if that is known by then; it is asked if it was not, or if a file of it has changed. It gives no answer
    /// after `hello::LIMIT`, and that is known then.
    pub(super) fn of(&mut self, program: &Program, until: Instant) -> Option<Result<Introduction, Failure>> {
        let asked = self.asked.iter().position(|(asked, _)| asked == program);
        if asked.is_none()
            && let Some(known) = self.known(program)
        {
            return Some(known);
        }
        let mut hello = asked.map_or_else(|| Hello::ask(program, &self.users), |at| self.asked.swap_remove(at).1);
        if !hello.is_over(until) {
            self.asked.push((program.clone(), hello));
            return None;
        }
        let answer = hello.answer();
        let marks = marks(program, &answer);
        self.seen.retain(|seen| seen.program != *program);
        self.seen.push(Seen { program: program.clone(), marks, at: Instant::now(), answer: answer.clone() });
        Some(answer)
    }

    /// What it has said before, if that still counts.
    fn known(&self, program: &Program) -> Option<Result<Introduction, Failure>> {
        let seen = self.seen.iter().find(|seen| seen.program == *program)?;
        let counts = match seen.answer {
            Ok(_) => Duration::MAX,
            Err(Failure::Said(_)) => FAILURE_COUNTS,
            Err(Failure::Silent) => SILENCE_COUNTS,
        };
        (seen.at.elapsed() <= counts && seen.marks == marks(program, &seen.answer)).then(|| seen.answer.clone())
    }
}

/// The marks of the program and of its library.
fn marks(program: &Program, answer: &Result<Introduction, Failure>) -> Vec<Option<Mark>> {
    let library = answer.as_ref().ok().map(|said| said.library.as_path());
    let files = [Some(program.path.as_path()), program.preload.as_deref(), library];
    files.into_iter().flatten().map(|path| Mark::of(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_for_a_while() {
        let program = Program { path: "/bin/true".into(), preload: None };
        let known = |answer: Failure, age: Duration| {
            let answer = Err(answer);
            let seen = Seen {
                program: program.clone(),
                marks: marks(&program, &answer),
                at: Instant::now().checked_sub(age).unwrap(),
                answer,
            };
            Introductions { seen: vec![seen], ..Introductions::new(Vec::new()) }.known(&program).is_some()
        };
        let said = || Failure::Said(String::new());
        assert!(known(Failure::Silent, Duration::from_secs(29)));
        assert!(!known(Failure::Silent, Duration::from_secs(31)));
        assert!(known(said(), Duration::from_millis(1)));
        assert!(!known(said(), Duration::from_secs(1)));
    }

    #[test]
    fn what_was_given_up_is_asked_again() {
        let mut introductions = Introductions::new(Vec::new());
        let program = Program { path: "/bin/true".into(), preload: None };
        introductions.ask(&program);
        introductions.abandon();
        let answer = introductions.of(&program, Instant::now() + Duration::from_secs(30));
        assert!(answer.is_some_and(|answer| answer.is_err()) && introductions.asked.is_empty());
    }
}
