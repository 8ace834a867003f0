//! A second thread of a worker, which tells where the script is while it runs: it reads, and interrupts nobody.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use crate::engine::Tracer;
use crate::ipc::trace;
use crate::sys::{fd, signal};

/// Bytes of the thread's stack.
const STACK: usize = 128 * 1024;

/// Starts the thread. It takes no signal, so that none that is meant for the script goes astray. To be called behind every
/// change of identity and root, which it then shares.
///
/// # Errors
/// `EAGAIN`: the user has too many processes.
pub fn start(asked_by: OwnedFd, tracer: Box<dyn Tracer>, depth: u32) -> io::Result<()> {
    fd::set_nonblocking(&asked_by, false)?;
    let mask = signal::block_all()?;
    let thread = std::thread::Builder::new().name("tracer".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || {
        // Its end is the supervisor's.
        let _ = answer(File::from(asked_by), &*tracer, depth);
    });
    signal::set_mask(&mask)?;
    started.map(drop)
}

fn answer(mut asked_by: File, tracer: &dyn Tracer, depth: u32) -> io::Result<()> {
    let mut question = [0; 1];
    while asked_by.read(&mut question)? > 0 {
        let mut text = Vec::new();
        let complete = tracer.trace(depth, &mut text).is_ok();
        for packet in trace::packets(&text, complete) {
            asked_by.write_all(&packet)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::message;

    struct Told(bool);

    impl Tracer for Told {
        fn trace(&self, depth: u32, out: &mut Vec<u8>) -> io::Result<()> {
            out.extend_from_slice(format!("{depth} calls").as_bytes());
            if self.0 { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
        }
    }

    #[test]
    fn each_question_gets_an_answer() {
        for (complete, mark) in [(true, '.'), (false, '!')] {
            let (ours, theirs) = message::pair().unwrap();
            start(theirs, Box::new(Told(complete)), 7).unwrap();
            fd::set_nonblocking(&ours, false).unwrap();
            let mut ours = File::from(ours);
            for _ in 0..3 {
                ours.write_all(trace::ASK).unwrap();
                let mut packet = [0; 64];
                let length = ours.read(&mut packet).unwrap();
                assert_eq!(&packet[..length], format!("{mark}7 calls").as_bytes());
            }
        }
    }

    #[test]
    fn the_mask_of_signals_is_what_it_was() {
        let before = signal::is_blocked(nix::sys::signal::Signal::SIGTERM);
        let (_ours, theirs) = message::pair().unwrap();
        start(theirs, Box::new(Told(true)), 1).unwrap();
        assert_eq!(signal::is_blocked(nix::sys::signal::Signal::SIGTERM), before);
    }
}
