//! Bodies of requests.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use testkit::Outcome;
use testkit::fastcgi::Request;
use testkit::sandbox::Sandbox;

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";
/// Bytes of the uploaded file.
const UPLOAD: usize = 64 << 20;

/// One field of 100 KB without anything to decode.
pub(crate) fn one_field(pages: &Sandbox) -> Request {
    form(pages, &format!("text={}", "abcdefghij".repeat(10_240)))
}

/// 200 fields of 500 bytes each, most of them in the form `%XX`.
pub(crate) fn encoded_fields(pages: &Sandbox) -> Request {
    let value = "Z%C3%BCrich+%26+%E2%82%AC%0D%0A%22%3Cb%3E".repeat(13);
    let mut body = String::new();
    for number in 0..200 {
        let _ = write!(body, "field%5F{number}={value}&");
    }
    form(pages, body.trim_end_matches('&'))
}

/// 900 fields of arrays in arrays.
pub(crate) fn nested_fields(pages: &Sandbox) -> Request {
    let mut body = String::new();
    for number in 0..900 {
        let _ = write!(body, "amount[{}][{}]={number}&", number / 30, number % 30);
    }
    form(pages, body.trim_end_matches('&'))
}

fn form(pages: &Sandbox, body: &str) -> Request {
    Request::post(&pages.page("fields.php"), body.as_bytes())
}

/// A file of 64 MB in a form, sent over FastCGI.
pub(crate) fn upload(pages: &Sandbox) -> Request {
    let request = Request::post(&pages.page("uploaded.php"), &multipart());
    request.param("CONTENT_TYPE", &format!("multipart/form-data; boundary={BOUNDARY}"))
}

/// The same, with the body in a file of the web server.
///
/// # Errors
/// If the file can't be written.
pub(crate) fn upload_by_file(pages: &Sandbox) -> Outcome<Request> {
    let file = pages.file("body");
    if !file.exists() {
        fs::write(&file, multipart())?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    }
    let request = upload(pages).param("REQUEST_BODY_FILE", &file.to_string_lossy());
    Ok(Request { body: Vec::new(), ..request })
}

fn multipart() -> Vec<u8> {
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"video.mp4\"\r\nContent-Type: video/mp4";
    let mut body = format!("--{BOUNDARY}\r\n{head}\r\n\r\n").into_bytes();
    // As random as a video: no byte is rare, so the search for the boundary often begins.
    let mut state = 1_u32;
    body.extend((0..UPLOAD).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    body.extend(format!("\r\n--{BOUNDARY}--\r\n").into_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_size_that_they_are_named_for() -> Outcome {
        let pages = Sandbox::new()?;
        let count = |request: &Request| request.body.iter().filter(|byte| **byte == b'=').count();
        assert_eq!(one_field(&pages).body.len(), 102_405);
        assert_eq!((count(&encoded_fields(&pages)), count(&nested_fields(&pages))), (200, 900));
        Ok(())
    }
}
