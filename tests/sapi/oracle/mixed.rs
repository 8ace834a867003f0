//! Requests with several unusual properties at once, and names that occur twice.

use super::side::ONCE;
use crate::script::Choices;
use crate::wire::Pairs;

/// A request: its pool, its variables, its body.
pub(super) struct Mixed {
    pub pool: usize,
    pub pairs: Pairs,
    pub body: Vec<u8>,
}

/// Bytes as a request to the site at `root`.
pub(super) fn read(bytes: &[u8], root: &str) -> Mixed {
    let choices = &mut Choices(bytes);
    let pool = choices.of(&[0, 0, 1, ONCE]);
    let script = choices.of(&SCRIPTS);
    let mut pairs: Pairs = Vec::new();
    let mut add = |name: &[u8], value: &[u8]| pairs.push((name.to_vec(), value.to_vec()));
    add(b"SCRIPT_FILENAME", format!("{root}{script}").as_bytes());
    add(b"SCRIPT_NAME", script.as_bytes());
    if !choices.one_in(12) {
        add(b"REQUEST_METHOD", choices.of(&METHODS).as_bytes());
    }
    if !choices.one_in(4) {
        add(b"QUERY_STRING", choices.of(&QUERIES).as_bytes());
    }
    for (name, values) in [("HTTP_AUTHORIZATION", &AUTHORIZATIONS[..]), ("HTTP_COOKIE", &COOKIES)] {
        if choices.one_in(3) {
            add(name.as_bytes(), choices.of(values).as_bytes());
        }
    }
    let (kind, body) = if choices.one_in(2) { choices.of(&FITTING) } else { (choices.of(&TYPES), choices.of(&BODIES)) };
    if !choices.one_in(8) {
        add(b"CONTENT_TYPE", kind.as_bytes());
    }
    if !choices.one_in(8) {
        add(b"CONTENT_LENGTH", length(choices, body.len()).as_bytes());
    }
    for _ in 0..choices.below(4) {
        let name = choices.of(&NAMES);
        add(name, choices.of(&VALUES));
        if choices.one_in(3) {
            add(name, choices.of(&VALUES));
        }
    }
    if pool == ONCE {
        for name in ["PHP_VALUE", "PHP_ADMIN_VALUE"] {
            if !choices.one_in(3) {
                add(name.as_bytes(), choices.of(&SETTINGS).as_bytes());
            }
        }
    }
    let turn = choices.below(pairs.len());
    pairs.rotate_left(turn);
    Mixed { pool, pairs, body: body.to_vec() }
}

const SCRIPTS: [&str; 5] = ["/info.php", "/info.php", "/dir/index.php", "/text.txt", "/none.php"];
const METHODS: [&str; 9] = ["GET", "POST", "POST", "POST", "PUT", "HEAD", "post", "OPTIONS", ""];
const QUERIES: [&str; 10] = [
    "",
    "a=1&b[]=2&c",
    "one+two",
    "a%00b=%00",
    "=",
    "&&a.b=1;c=2",
    "a[b][c]=1&a[=2",
    "-d+x",
    "\u{e9}=%e9",
    "a=1&a=2&c=3",
];
const AUTHORIZATIONS: [&str; 16] = [
    "Basic dXNlcjpwYTpzcw==",
    "Basic dXNlcjo=",
    "Basic OnBhc3M=",
    "Basic dXNlcg==",
    "Basic AAA6AAA=",
    "Basic !!!",
    "Basic ",
    "Basic",
    "basic dXNlcjpwYXNz",
    "Basic  dXNlcjpwYXNz",
    "Digest username=\"u\", realm=\"r\"",
    "digest x",
    "Digest ",
    "Bearer abc",
    "Negotiate \u{e9}",
    "",
];
const COOKIES: [&str; 8] =
    ["a=1; b[x]=2", "a=1; a=2", "odd name=3;c=%20", "=x; y", "a", "a=\"q;r\"", " a = 1 ,b=2", "__Host-a=1; ..b=2"];
const TYPES: [&str; 10] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-8",
    "Application/X-WWW-Form-Urlencoded",
    "multipart/form-data; boundary=B",
    "multipart/form-data; boundary=\"B\"",
    "multipart/form-data",
    "application/json",
    "text/plain,x",
    " ;",
    "",
];
const BODIES: [&[u8]; 7] = [
    b"",
    b"a=b&list[]=1&list[]=2&odd=%e4",
    b"{\"a\": 1}",
    b"\0\xff\r\n",
    b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n\
        --B\r\nContent-Disposition: form-data; name=\"x[y]\"\r\n\r\n1\r\n--B--\r\n",
    b"--B\r\nContent-Disposition: form-data; name=\"f[]\"; filename=\"../b\"\r\n\r\ncut",
    b"--B\r\nnonsense",
];
/// Content types with matching bodies.
const FITTING: [(&str, &[u8]); 5] =
    [(TYPES[0], BODIES[1]), (TYPES[3], BODIES[4]), (TYPES[4], BODIES[4]), (TYPES[3], BODIES[5]), (TYPES[6], BODIES[2])];
/// No name has three bytes: php-fpm does not notice that such a name occurs twice (docs/differences.md).
const NAMES: [&[u8]; 22] = [
    b"PHP_AUTH_USER",
    b"AUTH_TYPE",
    b"REMOTE_USER",
    b"PATH",
    b"HTTP_PROXY",
    b"HTTP_HOST",
    b"HTTP_X_ODD",
    b"HTTP_",
    b"HTTP_X.Y",
    b"HTTP_A B",
    b"HTTP_x_lower",
    b"HTTP__X__",
    b"http_x",
    b"A[b]",
    b"A[bc",
    b"",
    b" X",
    b"a=bc",
    b"A\0BC",
    b"HTTP_\xe9",
    b"PHP_SELF",
    b"argv",
];
const VALUES: [&[u8]; 8] = [b"1", b"", b"two\0parts", b"\xff\xe9", b"line\nbreak", b"<>\"'", b"http://evil/", b"0"];
const SETTINGS: [&str; 17] = [
    "precision=5",
    "precision = 5 ; said",
    "memory_limit=97M",
    "precision=5\nuser_agent=\"a b\"",
    "[x]\nprecision=3",
    "precision",
    "precision=",
    "=",
    "\n\n",
    "error_reporting=E_ALL & ~E_NOTICE",
    "precision=\"",
    "nonsense=1",
    "precision[]=4",
    "html_errors=off\nhtml_errors=yes",
    "default_charset=x",
    "user_agent=${SCRIPT_NAME}",
    "default_mimetype=text/plain",
];

/// CONTENT_LENGTH for a body: never more than its length, nor negative; php-fpm would wait without end
/// (docs/differences.md).
fn length(choices: &mut Choices<'_>, body: usize) -> String {
    let some = body.min(5);
    let odd = [
        String::new(),
        "0".to_owned(),
        some.to_string(),
        format!(" {some}"),
        format!("+{some}"),
        format!("{some}x"),
        "x".to_owned(),
        "0x10".to_owned(),
        format!("0{body}"),
    ];
    if choices.one_in(3) { odd[choices.below(odd.len())].clone() } else { body.to_string() }
}
