//! Makes up bodies of type `multipart/form-data`.

use super::{NAME_PARTS, NAMES, Numbers, spoil};

const DISPOSITIONS: &[&[u8]] = &[
    b"Content-Disposition: form-data; ",
    b"Content-Disposition: form-data; ",
    b"Content-Disposition: form-data; ",
    b"content-disposition:",
    b"Content-Disposition : form-data; ",
    b"Content-Disposition:\r\n form-data;",
    b"Content-Type: text/plain\r\nContent-Disposition: form-data;;",
    b"X-Other: a\r\nContent-Disposition: attachment; ",
    b" Content-Disposition: form-data; ",
    b"Content-Disposition: form-data; name=x\r\n; ",
    b"\tfolded\r\nContent-Disposition: form-data;\t",
    b"no colon\r\nContent-Disposition:\n\x0b ",
    b"",
];
const KEYS: &[&[u8]] = &[b"name=", b"name=", b"name=", b"name=", b"NAME=", b"name = ", b"name", b"namE==", b"nam="];
const FILE_KEYS: &[&[u8]] =
    &[b"; filename=", b"; filename=", b"; filename=", b";filename=", b"; FILENAME= ", b"; filename"];
const QUOTES: &[&[u8]] = &[b"\"", b"\"", b"\"", b"\"", b"'", b"", b" \"", b"\\\""];
const FILES: &[&[u8]] = &[
    b"a.txt",
    b"a.txt",
    b"b",
    b"",
    b"dir/a.txt",
    b"C:\\dir\\a.txt",
    b"a\\\"b",
    b"a;b",
    b"../..",
    b"a/",
    b"\xc3\xa4",
    b"a b",
    b"a=b",
    b"\\\\x",
    b"a\0b",
];
const TYPES: &[&[u8]] = &[
    b"",
    b"",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: text/html; charset=x\r\n",
    b"content-type:a\n",
    b"Content-Type: ;\r\n",
    b"Content-Type: a\r\n b\r\n",
    b"Content-Transfer-Encoding: binary\r\n",
    b"X: \0y\r\n",
    b"\0\r\n",
];
const DATA: &[&[u8]] = &[
    b"",
    b"1",
    b"value",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\r\n",
    b"-",
    b"--",
    b"\r\n--",
    b"\n--",
    b"\n-",
    b"\0",
    b"\xff",
    b"0123456789abcdef",
    b"12",
    b"3",
    b"\n--b",
    b"\r\n--bo",
    b"--bound",
    b"lorem ipsum dolor sit amet, consetetur sadipscing elitr\n",
];

/// The content type and a body of type `multipart/form-data`.
pub fn multipart(numbers: &mut Numbers) -> (Vec<u8>, Vec<u8>) {
    let long = vec![b'x'; usize::try_from(5_100 + numbers.below(30)).unwrap_or(0)];
    let mut boundary = numbers.one(&[
        b"bound",
        b"bound",
        b"bound",
        b"b",
        b"",
        b"--bound",
        b"bound\r",
        b"a b",
        b"----WebKitFormBoundaryABC",
    ]);
    if numbers.once_in(200) {
        boundary = &long;
    }
    let begin = numbers.one(&[
        b"multipart/form-data; boundary=",
        b"multipart/form-data; boundary=",
        b"multipart/form-data;BOUNDARY=\"",
    ]);
    let end = numbers.one(&[b"", b"", b"; x", b",x", b"\""]);
    let kind = [begin, boundary, end].concat();
    let mut body = Vec::new();
    if numbers.once_in(8) {
        data(numbers, &mut body);
    }
    let parts = if numbers.once_in(500) { numbers.below(60) } else { numbers.below(6) };
    for _ in 0..parts {
        part(numbers, boundary, &mut body);
    }
    body.extend([b"--", boundary, numbers.one(&[b"--\r\n", b"--\r\n", b"--", b"\r\n", b""])].concat());
    if numbers.once_in(8) {
        data(numbers, &mut body);
    }
    if numbers.once_in(6) {
        spoil(numbers, &mut body);
    }
    (kind, body)
}

fn part(numbers: &mut Numbers, boundary: &[u8], body: &mut Vec<u8>) {
    let line = numbers.one(&[b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b" \r\n", b"\r\r\n"]);
    body.extend([b"--", boundary, line].concat());
    let disposition = numbers.one(DISPOSITIONS);
    body.extend_from_slice(disposition);
    if !disposition.is_empty() {
        if !numbers.once_in(12) {
            parameter(numbers, KEYS, NAMES, true, body);
        }
        if numbers.once_in(2) {
            parameter(numbers, FILE_KEYS, FILES, false, body);
        }
        body.extend_from_slice(numbers.one(&[b"\r\n", b"\r\n", b"\r\n", b"\n", b"; x\r\n", b";\r\n"]));
    }
    body.extend_from_slice(numbers.one(TYPES));
    body.extend_from_slice(numbers.one(&[b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b""]));
    data(numbers, body);
    body.extend_from_slice(numbers.one(&[b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"", b"\r"]));
}

fn parameter(numbers: &mut Numbers, keys: &[&[u8]], values: &[&[u8]], index: bool, body: &mut Vec<u8>) {
    let quote = numbers.one(QUOTES);
    body.extend_from_slice(numbers.one(keys));
    body.extend_from_slice(quote);
    body.extend_from_slice(numbers.one(values));
    if index && numbers.once_in(3) {
        for _ in 0..numbers.below(4) {
            body.extend_from_slice(numbers.one(NAME_PARTS));
        }
    }
    body.extend_from_slice(quote);
}

/// Some data; at times so much that the window of PHP's reader ends within it, or just before or after it.
fn data(numbers: &mut Numbers, body: &mut Vec<u8>) {
    for _ in 0..numbers.below(5) {
        body.extend_from_slice(numbers.one(DATA));
    }
    if numbers.once_in(10) {
        let unit = 5 * 1024;
        let at = body.len() as u64;
        let count = match numbers.below(3) {
            0 => numbers.below(3 * unit),
            _ => (unit * (1 + numbers.below(3))).saturating_sub(at % unit + numbers.below(40)),
        };
        let byte = numbers.one(&[b"x", b"x", b"\n", b"\r", b"-"]);
        for _ in 0..count {
            body.extend_from_slice(byte);
        }
        for _ in 0..numbers.below(5) {
            body.extend_from_slice(numbers.one(DATA));
        }
    }
}
