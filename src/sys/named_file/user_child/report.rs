//! The report of a child that acts as a user: one SOCK_SEQPACKET message, with a descriptor or none.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::super::Answer;
use super::known_users::MOST_GROUPS;
use crate::sys::ids::Identity;
use crate::sys::message;

/// How far a child has come.
#[derive(Debug)]
pub(in super::super) enum Report {
    /// The operation is done.
    Done(Answer),
    /// The rest of the path starts in this directory, which another user or root owns.
    Elsewhere(OwnedFd, PathBuf),
}

const DONE: u8 = 0;
const ELSEWHERE: u8 = 1;
const FAILED: u8 = 2;
/// Bytes of a message: a path or a text, and the groups of a user.
const MOST: usize = 8192;

/// A message: the kind of the report (1 byte), a number (an errno or the answer's note), how many words follow, these words (uid,
/// gid, supplementary groups), and the rest of the path or the text of an error. Numbers and words have 4 bytes.
pub(super) fn encode(identity: Option<&Identity>, report: io::Result<Report>) -> (Vec<u8>, Option<OwnedFd>) {
    let words = identity.filter(|identity| identity.groups.len() <= MOST_GROUPS);
    let words =
        words.map(|identity| [&[identity.uid, identity.gid], &identity.groups[..]].concat()).unwrap_or_default();
    let packet = |kind: u8, number: u32, text: &[u8]| {
        let count = u32::try_from(words.len()).unwrap_or(0);
        let numbers = [number, count].into_iter().chain(words.iter().copied()).flat_map(u32::to_ne_bytes);
        [&[kind], &numbers.collect::<Vec<_>>()[..], text].concat()
    };
    match report {
        Ok(Report::Done(Answer { file, note })) => (packet(DONE, note, b""), file),
        Ok(Report::Elsewhere(dir, rest)) => (packet(ELSEWHERE, 0, rest.as_os_str().as_bytes()), Some(dir)),
        Err(e) => match e.raw_os_error() {
            Some(code) => (packet(FAILED, code.cast_unsigned(), b""), None),
            None => (packet(FAILED, 0, e.to_string().as_bytes()), None),
        },
    }
}

/// Receives the message: the identity that the child has looked up, if it has, and its report.
pub(super) fn receive(channel: &OwnedFd) -> io::Result<(Option<Identity>, io::Result<Report>)> {
    let mut buffer = [0; MOST];
    let lost = || io::Error::other("the helper process for that user ended without an answer");
    let (length, file) = message::receive_one(channel, &mut buffer)?.ok_or_else(lost)?;
    let (kind, mut rest) = buffer.get(..length).and_then(<[u8]>::split_first).ok_or_else(lost)?;
    let number = word(&mut rest).ok_or_else(lost)?;
    let count = word(&mut rest).ok_or_else(lost)?;
    let words: Vec<u32> = (0..count).map_while(|_| word(&mut rest)).collect();
    let identity = match words.as_slice() {
        [uid, gid, groups @ ..] => Some(Identity { uid: *uid, gid: *gid, groups: groups.to_vec() }),
        _ => None,
    };
    let report = match (*kind, file) {
        (DONE, file) => Ok(Report::Done(Answer { file, note: number })),
        (ELSEWHERE, Some(dir)) => Ok(Report::Elsewhere(dir, OsString::from_vec(rest.to_vec()).into())),
        (FAILED, _) if number != 0 => Err(io::Error::from_raw_os_error(number.cast_signed())),
        (FAILED, _) => Err(io::Error::other(String::from_utf8_lossy(rest).into_owned())),
        _ => Err(lost()),
    };
    Ok((identity, report))
}

fn word(bytes: &mut &[u8]) -> Option<u32> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_reported_arrives() {
        let (ours, theirs) = message::pair().unwrap();
        let bob = Identity { uid: 2002, gid: 100, groups: vec![100, 33] };
        let pass = |identity: Option<&Identity>, report| {
            let (bytes, file) = encode(identity, report);
            message::send(&theirs, &bytes, &file.iter().map(AsFd::as_fd).collect::<Vec<_>>()).unwrap();
            receive(&ours).unwrap()
        };
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let done = pass(None, Ok(Report::Done(Answer { file: Some(file()), note: 7 })));
        assert!(matches!(done, (None, Ok(Report::Done(Answer { file: Some(_), note: 7 })))), "{done:?}");
        let (identity, report) = pass(Some(&bob), Ok(Report::Elsewhere(file(), "a/b".into())));
        assert!(matches!(&report, Ok(Report::Elsewhere(_, rest)) if rest.as_os_str() == "a/b"), "{report:?}");
        assert_eq!(identity, Some(bob.clone()));
        let many = Identity { groups: (0..1000).collect(), ..bob };
        let (identity, report) = pass(Some(&many), Err(io::Error::from_raw_os_error(libc::EACCES)));
        assert_eq!((identity, report.unwrap_err().raw_os_error()), (None, Some(libc::EACCES)));
        assert_eq!(pass(None, Err(io::Error::other("why"))).1.unwrap_err().to_string(), "why");
        drop(theirs);
        assert!(receive(&ours).is_err());
    }
}
