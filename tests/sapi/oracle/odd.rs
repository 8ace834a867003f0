//! Requests that web servers rarely send, with one unusual property each.

use crate::wire::Pairs;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--\r\n";

/// Pairs and bodies, for the site at `root`.
pub(super) fn requests(root: &str) -> Vec<(Pairs, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |changes: &[(&str, Option<&str>)], body: &[u8]| all.push((pairs(root, changes), body.to_vec()));
    for method in [None, Some(""), Some("get"), Some("POST"), Some("HEAD"), Some("head"), Some("FOO"), Some("PO ST")] {
        add(&[("REQUEST_METHOD", method)], b"");
    }
    for length in ["", "0", "3", " 3", "+3", "3x", "0x3", "003", "3.7", "\t2"] {
        add(&posted(FORM, length), b"a=b");
    }
    for kind in CONTENT_TYPES {
        add(&posted(kind, &MULTIPART.len().to_string()), MULTIPART);
        add(&posted(kind, "7"), b"a=1&b=2");
    }
    add(&[("CONTENT_TYPE", Some(FORM)), ("CONTENT_LENGTH", Some("3"))], b"a=1");
    add(&[("REQUEST_METHOD", Some("POST")), ("CONTENT_TYPE", Some(FORM))], b"a=1");
    for given in CREDENTIALS {
        add(&[("HTTP_AUTHORIZATION", Some(given))], b"");
        add(&[("HTTP_AUTHORIZATION", Some(given)), ("REMOTE_USER", Some("r")), ("AUTH_TYPE", Some("Basic"))], b"");
    }
    for settings in SETTINGS {
        add(&[("PHP_VALUE", Some(settings))], b"");
        add(&[("PHP_ADMIN_VALUE", Some(settings))], b"");
    }
    add(&[("PHP_VALUE", Some("precision=3")), ("PHP_ADMIN_VALUE", Some("precision=4\nno.such=1"))], b"");
    for cookies in COOKIES {
        add(&[("HTTP_COOKIE", Some(cookies))], b"");
    }
    for query in QUERIES {
        add(&[("QUERY_STRING", Some(query))], b"");
    }
    for name in NAMES {
        add(&[(name, Some("v"))], b"");
        add(&[(name, Some("a\0b"))], b"");
    }
    for place in [None, Some("/"), Some(""), Some("relative"), Some("/nowhere/")] {
        add(&[("DOCUMENT_ROOT", place)], b"");
    }
    for server in [None, Some(""), Some("UPPER.example"), Some("h\u{e4}")] {
        add(&[("SERVER_NAME", server)], b"");
    }
    for script in [
        "info.php",
        "site/info.php",
        "http://x/",
        "php://input",
        "data:,x.php",
        "/proc/self/mem.php",
        "phar://x.phar/a.php",
    ] {
        add(&[("SCRIPT_FILENAME", Some(script))], b"");
    }
    let long = format!("{root}/{}.php", "x".repeat(5000));
    for script in [format!("{root}/./info.php"), format!("/{root}//info.php"), root.to_owned(), long] {
        add(&[("SCRIPT_FILENAME", Some(&script))], b"");
    }
    all
}

/// A plain request with some variables changed or removed.
fn pairs(root: &str, changes: &[(&str, Option<&str>)]) -> Pairs {
    let script = format!("{root}/info.php");
    let mut pairs = vec![
        ("SCRIPT_FILENAME", Some(script.as_str())),
        ("SCRIPT_NAME", Some("/info.php")),
        ("DOCUMENT_ROOT", Some(root)),
        ("QUERY_STRING", Some("q=1")),
        ("REQUEST_METHOD", Some("GET")),
        ("REQUEST_URI", Some("/info.php?q=1")),
        ("SERVER_NAME", Some("localhost")),
    ];
    for &(name, value) in changes {
        match pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => pairs.push((name, value)),
        }
    }
    let given =
        pairs.into_iter().filter_map(|(name, value)| Some((name.as_bytes().to_vec(), value?.as_bytes().to_vec())));
    given.collect()
}

fn posted<'a>(kind: &'a str, length: &'a str) -> [(&'static str, Option<&'a str>); 3] {
    [("REQUEST_METHOD", Some("POST")), ("CONTENT_TYPE", Some(kind)), ("CONTENT_LENGTH", Some(length))]
}

const CONTENT_TYPES: [&str; 14] = [
    "",
    FORM,
    "application/x-www-form-urlencoded; charset=x",
    "APPLICATION/X-WWW-FORM-URLENCODED",
    "application/x-www-form-urlencoded ;x",
    "application/x-www-form-urlencoded, text/plain",
    " application/x-www-form-urlencoded",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\"B\"",
    "Multipart/Form-Data; boundary=B,x",
    "text/plain",
    "application/json",
    ";",
];

const CREDENTIALS: [&str; 14] = [
    "Basic dXNlcjpwYXNz",
    "basic dXNlcjpwYXNz",
    "Basic dXNlcg==",
    "Basic dXNlcjo=",
    "Basic OnBhc3M=",
    "Basic  dXNlcjpwYXNz",
    "Basic",
    "Basic ",
    "Basic !!!",
    "Basic dTpwOnE=",
    "Digest a=b",
    "digest a=b",
    "Bearer x",
    "",
];

const SETTINGS: [&str; 38] = [
    "precision=3",
    "precision=3\nmemory_limit=99M",
    "precision = \"4\"",
    "precision",
    "=x",
    "[sec]\nprecision=5",
    "a[]=1",
    "nosuch=1",
    "precision=",
    "precision=${PATH}",
    "precision=E_ALL",
    "; c\nprecision=6",
    "precision=\"unclosed",
    "precision=3;x",
    "precision=3\nprecision=4",
    "precision=(1|2)",
    "open_basedir=/",
    "include_path=/x:/y",
    "date.timezone=Nope/Nope",
    "date.timezone=Europe/Berlin",
    "session.save_handler=nope",
    "memory_limit=1",
    "default_charset=latin1",
    "error_reporting=E_ALL & ~E_NOTICE",
    "max_execution_time=7",
    "variables_order=GP",
    "register_argc_argv=1",
    "auto_prepend_file=none",
    "html_errors=1",
    "doc_root=/nope",
    "cgi.fix_pathinfo=0",
    "fastcgi.logging=0",
    "cgi.nph=1",
    "cgi.rfc2616_headers=1",
    "expose_php=0",
    "output_buffering=10",
    "user_ini.filename=x",
    "enable_post_data_reading=0",
];

const COOKIES: [&str; 12] = [
    "a=1; b=2",
    "a=1;b=2",
    " a=1",
    "a",
    "=x",
    "a=%41; a=2",
    "a[x]=1; a[y]=2",
    "a b=1",
    "a.b=1",
    "__Host-x=1; .._Host-y=2",
    "a=1,b=2",
    "\u{ff}=\u{fe}",
];

const QUERIES: [&str; 16] = [
    "", "a", "a=", "=a", "a&&b", "a=1&a=2", "a[b=1", "a]=1", "a.b=1", "a%00b=1", "%", "a=%zz", "+", "a+b+c", "-d+x",
    "a%3Db",
];

const NAMES: [&str; 27] = [
    "HTTP_",
    "HTTP__",
    "HTTP_X_Y",
    "HTTP_x_y",
    "HTTP_X-Y",
    "HTTP_X__Y",
    "HTTP_X_",
    "HTTPX",
    "HTTP_\u{ff}",
    "HTTP_CONTENT_TYPE",
    "HTTP_CONTENT_LENGTH",
    "HTTP_PROXY",
    "http_proxy",
    "CONTENT_TYPE",
    "X[a]",
    "X[]",
    "X[a][b",
    "a b",
    "a.b",
    "GLOBALS",
    "_SERVER",
    "argv",
    "argc",
    "PHP_SELF",
    "PHP_AUTH_USER",
    "FCGI_ROLE",
    "",
];
