//! Makes up bodies of type `application/x-www-form-urlencoded`.

use super::{NAME_PARTS, NAMES, Numbers, spoil};

const VALUE_PARTS: &[&[u8]] = &[
    b"",
    b"1",
    b"x",
    b"value",
    b"+",
    b"%41",
    b"%c3%a4",
    b"%00",
    b"%",
    b"%4",
    b"%%",
    b"%zz",
    b"=",
    b"==",
    b"%26",
    b"\0",
    b"\xff",
    b"<b>",
    b"0123456789abcdef",
    b"0123456789abcdefghijklmnopqrstuvwxyz",
    b"lorem+ipsum+dolor+sit+amet",
];

/// A body of type `application/x-www-form-urlencoded`.
pub fn urlencoded(numbers: &mut Numbers) -> Vec<u8> {
    let mut body = Vec::new();
    let fields = if numbers.once_in(500) { numbers.below(400) } else { numbers.below(9) };
    for _ in 0..fields {
        url_field(numbers, &mut body);
        body.extend_from_slice(numbers.one(&[b"&", b"&", b"&", b"&", b"&", b"&", b"&&", b";", b"&=&", b"&+&"]));
    }
    if numbers.once_in(2) {
        body.pop();
    }
    if numbers.once_in(10) {
        spoil(numbers, &mut body);
    }
    body
}

fn url_field(numbers: &mut Numbers, body: &mut Vec<u8>) {
    if !numbers.once_in(12) {
        body.extend_from_slice(numbers.one(NAMES));
    }
    let depth = if numbers.once_in(60) { numbers.below(80) } else { 0 };
    for _ in 0..depth {
        body.extend_from_slice(numbers.one(&[b"[a]", b"[]", b"[0]", b"%5B%5D"]));
    }
    for _ in 0..numbers.below(4) {
        body.extend_from_slice(numbers.one(NAME_PARTS));
    }
    if numbers.once_in(10) {
        return;
    }
    body.push(b'=');
    let length = if numbers.once_in(400) { numbers.below(2000) } else { numbers.below(5) };
    for _ in 0..length {
        body.extend_from_slice(numbers.one(VALUE_PARTS));
    }
}
