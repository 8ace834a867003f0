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

/// Answers, and programs that were asked.
#[derive(Debug, Default)]
pub(super) struct Introductions {
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
    /// Asks a program, if its answer is not known.
    pub(super) fn ask(&mut self, program: &Program) {
        if self.known(program).is_none() && !self.asked.iter().any(|(asked, _)| asked == program) {
            self.asked.push((program.clone(), Hello::ask(program)));
        }
    }

    /// Whether a program that was asked has answered by then, or will not.
    pub(super) fn has_come(&mut self, program: &Program, until: Instant) -> bool {
        !self.asked.iter_mut().any(|(asked, hello)| asked == program && !hello.is_over(until))
    }

    /// Ends programs that have not answered.
    pub(super) fn abandon(&mut self) {
        self.asked.clear();
    }

    /// What the program says, asked again only if a file of it has changed.
    pub(super) fn of(&mut self, program: &Program) -> Result<Introduction, Failure> {
        let asked = self.asked.iter().position(|(asked, _)| asked == program);
        if asked.is_none()
            && let Some(known) = self.known(program)
        {
            return known;
        }
        let hello = asked.map_or_else(|| Hello::ask(program), |at| self.asked.swap_remove(at).1);
        let answer = hello.answer();
        let marks = marks(program, &answer);
        self.seen.retain(|seen| seen.program != *program);
        self.seen.push(Seen { program: program.clone(), marks, at: Instant::now(), answer: answer.clone() });
        answer
    }

    /// What it has said before, if that still counts.
    fn known(&self, program: &Program) -> Option<Result<Introduction, Failure>> {
        let seen = self.seen.iter().find(|seen| seen.program == *program)?;
        let old = matches!(seen.answer, Err(Failure::Said(_))) && seen.at.elapsed() > FAILURE_COUNTS;
        (!old && seen.marks == marks(program, &seen.answer)).then(|| seen.answer.clone())
    }
}

/// The marks of the program and of its library.
fn marks(program: &Program, answer: &Result<Introduction, Failure>) -> Vec<Option<Mark>> {
    let library = answer.as_ref().ok().map(|said| said.library.as_path());
    let files = [Some(program.path.as_path()), program.preload.as_deref(), library];
    files.into_iter().flatten().map(|path| Mark::of(path).ok()).collect()
}
