//! Reads a request of HTTP/1. Only what the monitor needs is kept.

use crate::metrics;

/// The longest request in bytes, to the end of its headers.
pub(super) const LONGEST: usize = 4096;
const HEADERS: usize = 64;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// `HEAD`: the answer has no body.
    pub(super) head: bool,
    /// The path, without the query.
    pub(super) path: String,
    /// The query.
    pub(super) query: String,
    /// `Host`; `None`: a client of HTTP/1.0 has sent none.
    pub(super) host: Option<String>,
    /// By `Accept`.
    pub(super) format: metrics::Format,
    /// The connection stays open.
    pub(super) keeps: bool,
    /// The bytes of the request.
    pub(super) length: usize,
}

/// Why a request gets no answer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is none, or two headers contradict each other.
    Malformed,
    /// Another method than GET and HEAD.
    Method,
    /// It is longer than `LONGEST`.
    TooLong,
    /// It has a body.
    Body,
}

/// Reads the request at the beginning of the bytes. `None`: more are needed.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length <= LONGEST => length,
        Ok(httparse::Status::Complete(_)) => return Err(Refusal::TooLong),
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => return Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Err(_) => return Err(Refusal::Malformed),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed);
    };
    if !matches!(method, "GET" | "HEAD") {
        return Err(Refusal::Method);
    }
    let all = |name: &str| {
        let named = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| std::str::from_utf8(header.value).unwrap_or("\u{fffd}").trim()).collect::<Vec<_>>()
    };
    if !all("transfer-encoding").is_empty() || all("content-length").iter().any(|length| *length != "0") {
        return Err(Refusal::Body);
    }
    let host = match all("host")[..] {
        [host] => Some(host.to_owned()),
        [] if version == 0 => None,
        _ => return Err(Refusal::Malformed),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.starts_with('/') {
        return Err(Refusal::Malformed);
    }
    let said = |word: &str| {
        all("connection").iter().flat_map(|one| one.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    Ok(Some(Request {
        head: method == "HEAD",
        path: path.to_owned(),
        query: query.to_owned(),
        host,
        format: metrics::accepted(&all("accept").join(",")),
        keeps: !said("close") && (version == 1 || said("keep-alive")),
        length,
    }))
}

/// Whether a client may address the monitor by that host. A page of another site, whose name an attacker lets lead to this machine (DNS
/// rebinding), must not read what the monitor tells: a browser sends that name. An address cannot be made to lead elsewhere.
pub(super) fn is_own_host(host: &str, allowed: &[String]) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || port.starts_with(':') => {
            return address.parse::<std::net::Ipv6Addr>().is_ok();
        }
        Some(_) => return false,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok() || allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Format;

    fn get(text: &str) -> Result<Option<Request>, Refusal> {
        read(text.replace('\n', "\r\n").as_bytes())
    }

    #[test]
    fn a_request_of_prometheus_is_read() {
        let request = get(
            "GET /metrics?x=1 HTTP/1.1\nHost: 127.0.0.1:9253\nAccept: application/openmetrics-text;version=1.0.0\n\nGET",
        );
        let request = request.unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.query.as_str(), request.keeps), ("/metrics", "x=1", true));
        assert_eq!(
            (request.format, request.head, request.host.as_deref()),
            (Format::OpenMetrics, false, Some("127.0.0.1:9253"))
        );
        assert_eq!(request.length, 103);
    }

    #[test]
    fn a_connection_is_kept_as_its_client_wants_it() {
        let keeps =
            |line: &str, header: &str| get(&format!("HEAD / {line}\nHost: x\n{header}\n\n")).unwrap().unwrap().keeps;
        assert!(keeps("HTTP/1.1", "A: b") && !keeps("HTTP/1.1", "Connection: foo, Close"));
        assert!(!keeps("HTTP/1.0", "A: b") && keeps("HTTP/1.0", "Connection: keep-alive"));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        assert_eq!(get("POST / HTTP/1.1\nHost: x\n\n"), Err(Refusal::Method));
        assert_eq!(get("GET / HTTP/1.1\nHost: x\nContent-Length: 5\n\n"), Err(Refusal::Body));
        assert_eq!(get("GET / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n"), Err(Refusal::Body));
        for malformed in [
            "GET / HTTP/1.1\n\n",
            "GET / HTTP/1.1\nHost: a\nHost: b\n\n",
            "\u{0}\u{1}\n",
            "GET http://x/ HTTP/1.1\nHost: x\n\n",
        ] {
            assert_eq!(get(malformed), Err(Refusal::Malformed), "{malformed:?}");
        }
        assert_eq!(get("GET / HTTP/1.1\nHost: x\n"), Ok(None));
        assert_eq!(get(&format!("GET /{} HTTP/1.1\nHost: x\n\n", "x".repeat(5000))), Err(Refusal::TooLong));
        assert_eq!(get(&format!("GET /{}", "x".repeat(5000))), Err(Refusal::TooLong));
        assert!(get("GET / HTTP/1.0\n\n").unwrap().unwrap().host.is_none());
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_read_the_same_in_pieces(start in "(GET|HEAD|POST|) ?/?.{0,20} ?HTTP/1.[01]\r\n", rest in any::<Vec<u8>>(), cut in 0_usize..200) {
            let mut bytes = start.into_bytes();
            bytes.extend_from_slice(&rest);
            bytes.extend_from_slice(b"\r\nHost: x\r\n\r\n");
            super::super::oracle::request(&bytes, cut);
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let allowed = vec!["web1.example".to_owned()];
        for own in [
            "127.0.0.1",
            "127.0.0.1:9253",
            "[::1]:9253",
            "[::1]",
            "localhost:9253",
            "LocalHost",
            "10.0.0.7",
            "web1.example:9253",
            "WEB1.example",
        ] {
            assert!(is_own_host(own, &allowed), "{own}");
        }
        for other in [
            "",
            ":9253",
            "evil.example",
            "evil.example:9253",
            "[evil]:1",
            "[::1]x",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            assert!(!is_own_host(other, &allowed), "{other}");
        }
    }
}
