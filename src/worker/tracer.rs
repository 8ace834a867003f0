//! The tracer: a second thread of a worker, which reads the list of calls of the script while it runs, without
//! interrupting it.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use crate::engine::Tracer;
use crate::ipc::trace;
use crate::sys::{fd, signal, single_threaded};

/// Bytes of the thread's stack.
const STACK: usize = 128 * 1024;

/// Starts the thread. All signals are blocked in it, so that signals reach the thread of the script. Call this after
/// all changes of identity and root directory.
///
/// # Errors
/// `EAGAIN`: the user has too many processes.
pub(super) fn start((question, answer): (OwnedFd, OwnedFd), tracer: Box<dyn Tracer>, depth: u32) -> io::Result<()> {
    fd::set_nonblocking(&question, false)?;
    fd::set_nonblocking(&answer, false)?;
    let mask = signal::block_all()?;
    let started = single_threaded::spawn("tracer", STACK, move || {
        // It ends when the supervisor closes the pipes.
        let _ = serve(File::from(question), File::from(answer), &*tracer, depth);
    });
    signal::set_mask(&mask)?;
    started
}

fn serve(mut questions: File, mut answers: File, tracer: &dyn Tracer, depth: u32) -> io::Result<()> {
    let mut question = [0; 1];
    while questions.read(&mut question)? > 0 {
        let mut text = Vec::new();
        let complete = tracer.trace(depth, &mut text).is_ok();
        for packet in trace::packets(&text, complete) {
            // Written in one piece: a packet is no longer than a pipe's atomic write.
            answers.write_all(&packet)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::packets;

    struct Told(bool);

    impl Tracer for Told {
        fn trace(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()> {
            out.extend_from_slice(format!("{depth} calls").as_bytes());
            if self.0 { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        }
    }

    /// A tracer, with the supervisor's ends of its pipes.
    fn started(complete: bool) -> (File, File) {
        let ((question, ask), (hear, answer)) = (packets::pair().unwrap(), packets::pair().unwrap());
        start((question, answer), Box::new(Told(complete)), 7).unwrap();
        fd::set_nonblocking(&hear, false).unwrap();
        (File::from(ask), File::from(hear))
    }

    #[test]
    fn each_question_gets_an_answer() {
        for (complete, mark) in [(true, '.'), (false, '!')] {
            let (mut ask, mut hear) = started(complete);
            for _ in 0..3 {
                ask.write_all(trace::ASK).unwrap();
                let mut packet = [0; 64];
                let length = hear.read(&mut packet).unwrap();
                assert_eq!(&packet[..length], format!("{mark}7 calls").as_bytes());
            }
        }
    }

    #[test]
    fn the_mask_of_signals_is_what_it_was() {
        let before = signal::is_blocked(nix::sys::signal::Signal::SIGTERM);
        let _ways = started(true);
        assert_eq!(signal::is_blocked(nix::sys::signal::Signal::SIGTERM), before);
    }
}
