//! `process.php` and the other directives that choose the PHP of a pool.

use super::super::{EngineKey, Message, PhpIni};
use super::*;

fn engine(lines: &str) -> EngineKey {
    pool_with(lines).config().pools[0].engine.clone()
}

#[test]
fn a_pool_has_no_php_of_its_own_unless_it_says_so() {
    assert_eq!(engine(""), EngineKey::default());
    let all = engine(
        "process.php = /usr/bin/php-cgi8.4\nprocess.php_library = /l/$pool.so\nprocess.php_ini = /etc/$pool.ini\n\
         process.php_ini_scan_dir = :/etc/$pool.d\nprocess.php_define[opcache.enable] = off\nprocess.php_define[a] = \"b c\"",
    );
    assert_eq!(
        all,
        EngineKey {
            program: Some("/usr/bin/php-cgi8.4".into()),
            library: Some("/l/www.so".into()),
            ini: Some(PhpIni::At("/etc/www.ini".into())),
            scan_dir: Some(":/etc/www.d".into()),
            defines: vec![("a".to_owned(), "b c".to_owned()), ("opcache.enable".to_owned(), String::new())],
        }
    );
}

#[test]
fn none_may_be_quoted_or_not() {
    for none in ["none", "\"none\"", "NONE", "\"\""] {
        let engine = engine(&format!("process.php_ini = {none}\nprocess.php_ini_scan_dir = {none}"));
        assert_eq!((engine.ini, engine.scan_dir), (Some(PhpIni::Nothing), Some("".into())), "{none}");
    }
    let place = pool_with("process.php_ini = none\nprocess.php_define[x] = 1");
    let dumped = place.load().unwrap().test(true).unwrap();
    let lines: Vec<&str> = dumped.lines.iter().map(Message::text).filter(|line| line.contains("process.php")).collect();
    assert_eq!(lines, ["\tprocess.php_ini = none", "\tprocess.php_define[x] = 1"]);
}

#[test]
fn paths_are_absolute() {
    for (line, directive, path) in [
        ("process.php = php-cgi", "process.php", "php-cgi"),
        ("process.php = ", "process.php", ""),
        ("process.php_library = a.so", "process.php_library", "a.so"),
        ("process.php_ini = etc", "process.php_ini", "etc"),
        ("process.php_ini_scan_dir = /a:b", "process.php_ini_scan_dir", "b"),
    ] {
        let refusal = pool_with(line).refusal();
        let said = format!("Error: [pool www] {directive} = '{path}': the path must start with a '/'");
        assert_eq!(refusal[0], said);
        assert!(refusal[1].ends_with(&format!("{directive} is set here")), "{refusal:?}");
    }
    assert!(pool_with("process.php_ini_scan_dir = :").refusal()[0].contains("contains no directory"));
    assert!(pool_with("process.php_define[a=b] = 1").refusal()[0].contains("the name of a setting"));
}

const OTHER: &str = "[b]\nuser = x\nlisten = 9002\npm = static\npm.max_children = 1\n";

#[test]
fn pools_of_one_group_have_the_same_php() {
    let both = |first: &str, second: &str| {
        pool_with(&format!("process.group = g\n{first}\n{OTHER}process.group = g\n{second}"))
    };
    assert_eq!(both("process.php_ini = /a", "process.php_ini = /a").config().pools.len(), 2);
    let refusal = both("process.php_ini = /a", "process.php_ini = /b").refusal();
    let said = "Error: [pool b] process.php_ini differs from that of pool 'www', but both share one zygote by process.group = g";
    assert_eq!(refusal[0], said);
    assert_eq!(refusal[1..].iter().filter(|line| line.contains("is set here")).count(), 2, "{refusal:?}");
    assert!(both("", "process.php_define[a] = 1").refusal()[0].contains("process.php_define differs"));
    let shared = format!("[global]\nprocess.group = shared\n{POOL}{OTHER}process.php = /p\n");
    assert!(Place::new(&shared).refusal()[0].contains("process.group = shared"));
}

#[test]
fn the_pool_for_the_status_page_has_the_php_of_its_pool() {
    let pools = pool_with("pm.status_listen = 9001\nprocess.php_ini = /a\nprocess.php_define[a] = 1").config().pools;
    assert_eq!(pools[0].engine, pools[1].engine);
}
