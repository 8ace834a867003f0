//! Properties of everything that a worker may write, however it is cut. Compiled for the property tests and the fuzz targets only.

use crate::escape;
use crate::ipc::MARK;
use crate::json;
use crate::plan::fleet::GenerationId;
use crate::supervisor::output::Writer;
use crate::supervisor::output::message::{End, Form, Message};
use crate::supervisor::output::object::{self, Way};
use crate::supervisor::output::splitter::{Piece, Splitter};

/// Looks at the output that comes in these pieces: cut into messages, written as text, written as objects.
///
/// # Errors
/// The property that does not hold.
pub fn check(chunks: &[&[u8]]) -> Result<(), String> {
    pieces(chunks)?;
    lines(chunks)?;
    objects(chunks)
}

/// Splits `chunks` one after another and says what is wrong with the result: the messages must be those of the whole,
/// however it is cut, and no byte but newlines and marks may get lost.
fn pieces(chunks: &[&[u8]]) -> Result<(), String> {
    let messages = |chunks: &[&[u8]]| {
        let (mut splitter, mut found) = (Splitter::default(), vec![Vec::new()]);
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Text(bytes) => found.last_mut().into_iter().for_each(|last| last.extend_from_slice(bytes)),
            Piece::Line | Piece::Mark => found.push(Vec::new()),
        };
        chunks.iter().for_each(|chunk| splitter.feed(chunk, &mut take));
        splitter.end(&mut take);
        found
    };
    let whole = chunks.concat();
    let found = messages(chunks);
    if found != messages(&[&whole]) {
        return Err("another cut gives other messages".to_owned());
    }
    if found.iter().any(|message| message.contains(&b'\n') || message.windows(MARK.len()).any(|w| w == MARK)) {
        return Err("a message holds a separator".to_owned());
    }
    let kept: usize = found.iter().map(Vec::len).sum();
    let lines = whole.iter().filter(|byte| **byte == b'\n').count();
    let marks = found.len() - 1 - lines;
    if kept + lines + marks * MARK.len() == whole.len() { Ok(()) } else { Err("bytes were lost or made up".to_owned()) }
}

/// Decorated lines give the same result in these pieces as in one piece: the messages, escaped, in lines of UTF-8
/// that are no longer than they may be.
fn lines(chunks: &[&[u8]]) -> Result<(), String> {
    const LIMIT: usize = 24;
    let form = Form { prefix: Some("p: ".to_owned()), limit: LIMIT, characters: false };
    let said = |chunks: &[&[u8]]| {
        let (mut splitter, mut message) = (Splitter::default(), Message::default());
        let (mut lines, mut texts) = (Vec::new(), vec![Vec::new()]);
        let mut write = |line: &[u8], end: End| lines.push((line.to_vec(), end));
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Text(text) => {
                texts.last_mut().into_iter().for_each(|last| last.extend_from_slice(text));
                message.add(text, &form, &mut write);
            }
            Piece::Line | Piece::Mark => {
                texts.push(Vec::new());
                message.end(&form, false, &mut write);
            }
        };
        chunks.iter().for_each(|chunk| splitter.feed(chunk, &mut take));
        splitter.end(&mut take);
        message.end(&form, false, &mut write);
        (lines, texts)
    };
    let (lines, texts) = said(chunks);
    let mut shown = String::new();
    for (line, end) in &lines {
        let text = std::str::from_utf8(line).map_err(|e| format!("{line:?}: {e}"))?;
        let text = text.strip_prefix("p: \"").and_then(|rest| rest.strip_suffix('"'));
        let text = text.filter(|_| line.len() < LIMIT).ok_or_else(|| format!("{line:?} isn't a line"))?;
        shown.push_str(text);
        shown.push_str(if *end == End::Full { "" } else { "\n" });
    }
    let wanted = texts.iter().filter(|text| !text.is_empty()).map(|text| escape::line(text) + "\n").collect::<String>();
    let once = said(&[&chunks.concat()]).0;
    if shown == wanted && lines == once { Ok(()) } else { Err(format!("{wanted:?} has become {shown:?}")) }
}

/// Output in these pieces becomes objects of the JSON form, one in each line, and no byte of a wrapped line gets lost.
fn objects(chunks: &[&[u8]]) -> Result<(), String> {
    [true, false].into_iter().try_for_each(|decorate| {
        let key = GenerationId(1).zygote().worker(0, 0);
        let writer = Writer::Worker { key, pool: "www".to_owned(), pid: 7, stream: "stderr".to_owned(), decorate };
        let (mut splitter, mut message, mut wrong) = (Splitter::default(), Message::default(), Ok(()));
        let form = Form { limit: 40, ..Form::whole() };
        let mut write = |line: &[u8], end| wrong = wrong.clone().and_then(|()| check_line(&writer, line, end));
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Text(text) => message.add(text, &form, &mut write),
            Piece::Line | Piece::Mark => message.end(&form, false, &mut write),
        };
        chunks.iter().for_each(|chunk| splitter.feed(chunk, &mut take));
        splitter.end(&mut take);
        message.end(&form, true, &mut write);
        wrong
    })
}

fn check_line(writer: &Writer, line: &[u8], end: End) -> Result<(), String> {
    let (_, object) = object::render(writer, line, end);
    let text = std::str::from_utf8(&object).map_err(|e| e.to_string())?;
    let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let message = read.get("message").and_then(|message| message.as_str()).unwrap_or_default();
    let back = json::bytes_of(message, read.contains_key("escaped"));
    let kept = object::way(writer, line, end) != Way::Wrapped || back == line;
    if kept && !object.contains(&b'\n') { Ok(()) } else { Err(format!("{line:?} has become {text}")) }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_mark_may_be_cut_anywhere() {
        for cut in 0..=17 {
            let text = b"a\nb\0fscf\0c\0fscd\0\0fscf\0";
            assert_eq!(check(&[&text[..cut], &text[cut..]]), Ok(()), "{cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(chunks in proptest::collection::vec("[\u{0}fscf\na]{0,9}", 0..9)) {
            let chunks: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            proptest::prop_assert_eq!(check(&chunks), Ok(()));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_said_in_whatever_pieces(
            chunks in proptest::collection::vec(proptest::collection::vec(
                proptest::sample::select("a\"\\\t\n\0\x1b\u{9b}\u{15b}\u{20ac}\u{2028}fsc".bytes().chain([0x9b, 0xff]).collect::<Vec<_>>()),
                0..40), 0..6),
        ) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            proptest::prop_assert_eq!(check(&chunks), Ok(()));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_worker_writes_is_a_line_of_json(
            chunks in proptest::collection::vec(proptest::collection::vec(
                proptest::sample::select(b"{}[]\":,\\ux0e\n\0fsc\xff\xc3\xa4level message".to_vec()), 0..60), 0..6),
        ) {
            let chunks: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            proptest::prop_assert_eq!(check(&chunks), Ok(()));
        }

        #[test]
        fn whatever_it_writes_at_all(bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..200)) {
            proptest::prop_assert_eq!(check(&[&bytes]), Ok(()));
        }
    }
}
