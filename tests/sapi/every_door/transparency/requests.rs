//! The requests that both servers get.

/// Method, path, header lines, body.
pub(super) type Asked = (&'static str, &'static str, &'static str, &'static [u8]);

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=B\r\n";
const UPLOAD: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n\
    --B\r\nContent-Disposition: form-data; name=\"x[y]\"\r\n\r\n1\r\n\
    --B\r\nContent-Disposition: form-data; name=\"many[]\"; filename=\"../b\\c.bin\"\r\n\r\n\0\xff\r\n\
    --B\r\nContent-Disposition: form-data; name=\"many[]\"; filename=\"\"\r\n\r\n\r\n--B--\r\n";
/// Caddy passes a body of unknown length on without CONTENT_LENGTH; php-fpm and Caddy then wait for each other
/// without end.
pub(super) const CHUNKED_PATH: &str = "/transparency.php?chunked";
const CHUNKED: &[u8] = b"4\r\na=b&\r\n5\r\nc=d%e\r\n2\r\n4&\r\n0\r\n\r\n";
const DIGEST: &str = "Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"\"\r\n";

/// In this order on one worker: each one also shows the effects of the previous request.
pub(super) const REQUESTS: [Asked; 99] = [
    // Facts that no request changes; phpinfo().
    ("GET", "/transparency.php?part=static", "", b""),
    ("GET", "/transparency.php?part=info", "", b""),
    // Queries.
    ("GET", "/transparency.php", "", b""),
    ("GET", "/transparency.php?", "", b""),
    ("GET", "/transparency.php?a=1&b[]=2&b[x]=3&c=%20x&d=%e4&e+f=g+h&a=4&=5&i.j=6&k%00l=7", "", b""),
    ("GET", "/transparency.php?one+two+%2Fthree", "", b""),
    ("GET", "/transparency.php?-s+-d+a", "", b""),
    ("GET", "/transparency.php?%3Fx#y", "", b""),
    ("GET", "//transparency.php", "", b""),
    ("GET", "/./sub/../transparency.php", "", b""),
    // Methods and bodies.
    ("HEAD", "/transparency.php", "", b""),
    ("HEAD", "/transparency.php?flush=1", "", b""),
    ("POST", "/transparency.php?a=q", FORM, b"a=b&list[]=1&list[]=2&odd=%e4&x=%C3%A4&y=+%2B&z"),
    ("POST", "/transparency.php", FORM, b""),
    ("POST", "/transparency.php", "", b"no type"),
    ("POST", "/transparency.php", MULTIPART, UPLOAD),
    ("POST", "/transparency.php", MULTIPART, b"--B\r\nContent-Disposition: form-data; name=\"cut\"\r\n\r\nhere"),
    ("POST", "/transparency.php", "Content-Type: multipart/form-data\r\n", UPLOAD),
    ("POST", "/transparency.php", "Content-Type: Application/JSON; charset=x\r\n", b"{\"a\": 1, \"b\": \"\\u0000\"}"),
    ("POST", "/transparency.php", "Content-Type: application/octet-stream\r\n", b"\0\x01\xfe\xff"),
    (
        "POST",
        CHUNKED_PATH,
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n",
        CHUNKED,
    ),
    ("PUT", "/transparency.php", "Content-Type: text/plain\r\n", b"put this"),
    ("PUT", "/transparency.php", FORM, b"a=b"),
    ("PATCH", "/transparency.php", FORM, b"a=b"),
    ("DELETE", "/transparency.php", "", b""),
    ("DELETE", "/transparency.php", FORM, b"a=b"),
    ("OPTIONS", "/transparency.php", "", b""),
    ("PROPFIND", "/transparency.php", "Depth: 1\r\n", b"<x/>"),
    // Cookies and other headers.
    ("GET", "/transparency.php", "Cookie: a=1; b[x]=2; c=%20; odd name=3; a=4;d; =e; f.g=h; i=j=k\r\n", b""),
    ("GET", "/transparency.php", "Cookie: a=1\r\nCookie: b=2\r\n", b""),
    ("GET", "/transparency.php", "Proxy: http://evil/\r\nX-Odd: \u{e9}<>\"'\\\r\nX-Twice: 1\r\nX-Twice: 2\r\n", b""),
    ("GET", "/transparency.php", "X_Under: 1\r\nX-Empty:\r\nX-Tab: a\tb\r\nx-lower-CASE: 1\r\nHTTP-X: 1\r\n", b""),
    (
        "GET",
        "/transparency.php",
        "Content-Type: text/plain\r\nContent-Length: 0\r\nContent-MD5: x\r\nContent-Encoding: y\r\n",
        b"",
    ),
    (
        "GET",
        "/transparency.php",
        "User-Agent: Mozilla/5.0 (X; Y)\r\nReferer: http://localhost/a?b#c\r\nAccept: */*;q=0.1\r\n",
        b"",
    ),
    ("GET", "/transparency.php", "Accept-Encoding: gzip, br\r\nAccept-Language: de\r\nTE: trailers\r\n", b""),
    ("GET", "/transparency.php", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\nIf-None-Match: \"x\"\r\n", b""),
    (
        "GET",
        "/transparency.php",
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nForwarded: for=x\r\nVia: 1.1 y\r\n",
        b"",
    ),
    (
        "GET",
        "/transparency.php",
        "Script-Filename: /etc/passwd\r\nPath-Info: /x\r\nPHP-VALUE: precision=1\r\nRedirect-Status: 1\r\n",
        b"",
    ),
    ("GET", "/transparency.php", "Range: bytes=0-9\r\n", b""),
    // The client.
    ("GET", "/transparency.php", "Authorization: Basic dXNlcjpwYTpzcw==\r\n", b""),
    ("GET", "/transparency.php", "Authorization: basic dXNlcg==\r\n", b""),
    ("GET", "/transparency.php", "Authorization: Basic !\r\n", b""),
    ("GET", "/transparency.php", DIGEST, b""),
    ("GET", "/transparency.php", "Authorization: Bearer abc\r\n", b""),
    ("GET", "/transparency.php", "", b""),
    // Path infos.
    ("GET", "/transparency.php/path/info?x=1", "", b""),
    ("GET", "/transparency.php/", "", b""),
    ("GET", "/transparency.php//double//", "", b""),
    ("GET", "/transparency.php/a%20b/c%2fd", "", b""),
    ("GET", "/transparency.php/a%2Fb%252Fc", "", b""),
    ("GET", "/transparency.php/x%0ay.php", "", b""),
    ("GET", "/transparency.php/%C3%A4\u{e4}/%e4+", "", b""),
    ("GET", "/transparency.php/x/../y", "", b""),
    ("GET", "/transparency.php/other.php/z", "", b""),
    ("GET", "/transparency.php;p=1/x", "", b""),
    ("GET", "/transparency.php/transparency.php", "", b""),
    ("GET", "/link.php/x", "", b""),
    ("GET", "/a%20b/transparency.php/c%20d", "", b""),
    ("GET", "/%74ransparency%2Ephp", "", b""),
    ("GET", "/sub/transparency.php", "", b""),
    ("GET", "/sub/deep/transparency.php", "", b""),
    ("GET", "/sub/deep/transparency.php", "", b""),
    // Directories, and files that do not exist or must not run.
    ("GET", "/sub/", "", b""),
    ("GET", "/sub", "", b""),
    ("GET", "/missing.php", "", b""),
    ("GET", "/missing.php/x", "", b""),
    ("GET", "/missing/transparency.php", "", b""),
    ("POST", "/missing.php", FORM, b"a=b"),
    ("HEAD", "/missing.php", "", b""),
    ("GET", "/forbidden.txt", "", b""),
    ("GET", "/forbidden.txt/x.php", "", b""),
    ("GET", "/transparency.PHP", "", b""),
    ("GET", "/locked.php", "", b""),
    ("GET", "/dangling.php", "", b""),
    ("GET", "/directory.php", "", b""),
    ("GET", "/directory.php/", "", b""),
    ("GET", "/broken.php", "", b""),
    ("GET", "/hello.php", "", b""),
    // Answers.
    ("GET", "/transparency.php?status=HTTP/1.1+404+Gone+fishing", "", b""),
    ("GET", "/transparency.php?status=Status:+299+Hm", "", b""),
    ("GET", "/transparency.php?status=Location:+/elsewhere", "", b""),
    ("GET", "/transparency.php?status=WWW-Authenticate:+Basic+realm=x", "", b""),
    ("GET", "/transparency.php?code=204", "", b""),
    ("GET", "/transparency.php?code=304", "", b""),
    ("GET", "/transparency.php?code=599", "", b""),
    ("GET", "/transparency.php?flush=1", "", b""),
    ("GET", "/transparency.php?finish=1", "", b""),
    // Ways to end.
    ("GET", "/transparency.php?end=warning", "", b""),
    ("GET", "/transparency.php?end=late+header", "", b""),
    ("GET", "/transparency.php?end=log", "", b""),
    ("GET", "/transparency.php?end=fatal", "", b""),
    ("GET", "/transparency.php?end=fatal&quiet=1", "", b""),
    ("GET", "/transparency.php?end=exception", "", b""),
    ("GET", "/transparency.php?end=memory", "", b""),
    ("GET", "/transparency.php?end=exit", "", b""),
    ("GET", "/transparency.php?end=status", "", b""),
    ("GET", "/transparency.php?end=abort", "", b""),
    ("GET", "/transparency.php?end=callback", "", b""),
    // This is the last one: php-fpm's settings for it stay in the worker.
    ("GET", "/valued/transparency.php", "", b""),
];
