//! Bytes as a form: the fields are those of a plain reader, whatever the limits, which the first two bytes determine.
#![no_main]

use cgi_fpm::form::urlencoded::{Fields, Limits};
use libfuzzer_sys::fuzz_target;

/// Decodes byte by byte.
fn decoded(raw: &[u8]) -> Vec<u8> {
    let digit = |at: usize| raw.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let [most, nesting, body @ ..] = data else { return };
    let limits = Limits { fields: i64::from(*most) - 1, nesting: i64::from(*nesting) - 1 };
    let mut expected: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for piece in body.split(|&byte| byte == b'&') {
        let mut sides = piece.splitn(2, |&byte| byte == b'=');
        let name = decoded(sides.next().unwrap_or_default());
        expected.push((name, decoded(sides.next().unwrap_or_default())));
    }
    if body.is_empty() || body.ends_with(b"&") {
        expected.pop();
    }
    let deep = expected.iter().any(|(name, _)| {
        let levels = name.split(|&byte| byte == 0).next().unwrap().iter().filter(|&&byte| byte == b'[').count();
        levels > 0 && i64::try_from(levels).unwrap() > limits.nesting
    });
    let many = limits.fields >= 0 && expected.len() > usize::try_from(limits.fields).unwrap();
    let mut fields = Fields::default();
    assert_eq!(fields.read(body, limits), !deep && !many);
    if deep || many {
        return;
    }
    assert_eq!(fields.count(), expected.len());
    for (at, (name, value)) in expected.iter().enumerate() {
        let (seen, content) = fields.get(at, body).unwrap();
        assert_eq!((seen.split_last(), content), (Some((&0, name.as_slice())), value.as_slice()));
    }
});
