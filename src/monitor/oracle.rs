//! Properties of every request to the monitor. Compiled for the property tests and the fuzz targets only.

use super::http;

/// Reads these bytes as a request, as a whole and in two pieces.
///
/// # Panics
/// When a request is read beyond the bytes that there are, or otherwise before all of it is there than after.
pub fn request(bytes: &[u8], cut: usize) {
    let whole = http::read(bytes);
    let piece = bytes.get(..cut.min(bytes.len())).unwrap_or_default();
    if let Ok(Some(early)) = http::read(piece) {
        assert_eq!(Ok(Some(early)), whole);
    }
    if let Ok(Some(request)) = whole {
        assert!(request.length <= bytes.len().min(http::LONGEST) && request.path.starts_with('/'));
        if let Some(host) = request.host {
            let _ = http::is_own_host(&host, &[]);
        }
    }
}
