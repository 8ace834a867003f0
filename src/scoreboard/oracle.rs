//! Properties of everything that workers may write into shared memory. Compiled for the property tests and the fuzz targets only.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use super::{Scoreboard, Totals};
use crate::escape;
use crate::request_ids;
use crate::status::{self, Format, PageOptions, Snapshot};
use crate::sys::local_time;

const SLOTS: u32 = 2;

/// Shows the status page of a pool whose scoreboard and counters hold these bytes, in each format.
///
/// # Errors
/// The kernel gives no memory.
///
/// # Panics
/// When a page isn't of its format, or texts change what is markup or a line in it.
pub fn pages(board: &[u8], totals: &[u8]) -> io::Result<()> {
    let fd = super::create(SLOTS)?;
    fill(&fd, board)?;
    let board = Scoreboard::map(fd.as_fd(), SLOTS)?;
    let fd = Totals::create()?;
    fill(&fd, totals)?;
    let totals = Totals::map(fd.as_fd())?;
    for slot in 0..=SLOTS {
        let _ = (board.readiness(slot), board.since(slot), board.request(slot), board.identified_worker(slot));
        if let Some(ids) = board.present_ids(slot) {
            let tag = request_ids::tag(&ids);
            assert!(tag.len() < 256 && !tag.chars().any(escape::steers), "{tag:?}");
        }
    }
    let snapshot = board.snapshot(&totals);
    let mut plain = snapshot.clone();
    for process in &mut plain.processes {
        for text in [&mut process.method, &mut process.uri, &mut process.query, &mut process.user, &mut process.script]
        {
            text.clear();
        }
    }
    for format in [Format::Text, Format::Html, Format::Xml, Format::Json, Format::OpenMetrics] {
        for full in [false, true] {
            page(PageOptions { format, full }, &snapshot, &plain);
        }
    }
    Ok(())
}

fn fill(fd: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let file = File::from(fd.as_fd().try_clone_to_owned()?);
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    file.write_all_at(bytes.get(..size).unwrap_or(bytes), 0)
}

fn page(options: PageOptions, snapshot: &Snapshot, plain: &Snapshot) {
    let date = |seconds| local_time::local_time(seconds, c"%d/%b/%Y:%H:%M:%S %z");
    let [body, without] = [snapshot, plain].map(|snapshot| {
        let body = status::render(snapshot, options, &date);
        String::from_utf8(body).unwrap_or_else(|e| panic!("{options:?}: {e}"))
    });
    // Characters that a text must not bring in, and those of which it must not add one.
    let (steers, own): (fn(char) -> bool, &[char]) = match options.format {
        Format::Text | Format::OpenMetrics => (|c| escape::steers(c) && c != '\n' && c != '\t', &['\n']),
        Format::Html | Format::Xml => (|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'), &['<', '>', '"']),
        // DEL as PHP's encoder writes it.
        Format::Json => (|c| escape::steers(c) && c != '\u{7f}', &['\n']),
    };
    assert_eq!(body.chars().find(|c| steers(*c)), None, "{options:?}: {body:?}");
    for character in own {
        let counts = [&body, &without].map(|text| text.chars().filter(|c| c == character).count());
        assert!(counts[0] == counts[1], "{options:?}: {character:?} in {body}");
    }
    match options.format {
        Format::Json => {
            let read = serde_json::from_str::<serde_json::Value>(&body);
            assert!(read.is_ok_and(|value| value.is_object()), "{body}");
        }
        Format::Xml => {
            let mut reader = quick_xml::Reader::from_str(&body);
            loop {
                match reader.read_event() {
                    Ok(quick_xml::events::Event::Eof) => break,
                    Ok(_) => {}
                    Err(e) => panic!("{e}: {body}"),
                }
            }
        }
        Format::Text | Format::Html | Format::OpenMetrics => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_written(
            board in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..2800),
            totals in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200),
        ) {
            pages(&board, &totals).unwrap();
        }
    }
}
