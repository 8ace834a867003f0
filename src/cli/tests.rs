//! Command lines as php-fpm reads them.

use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use super::{Command, Options, Role, Usage, Verb, parse, usage};
use crate::engine::Topic;

fn line(text: &str) -> Result<Command, Usage> {
    let arguments: Vec<OsString> = text.split_ascii_whitespace().map(OsString::from).collect();
    parse(&arguments)
}

fn run(text: &str) -> Options {
    match line(text) {
        Ok(Command::Run(options)) => options,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn the_original_command_line_and_todays() {
    let original = run("--fpm --fpm-config /usr/local/etc/php-fpm.conf");
    assert_eq!(original.config_file.as_deref(), Some(Path::new("/usr/local/etc/php-fpm.conf")));
    assert_eq!(run("-x -y /usr/local/etc/php-fpm.conf"), original);
    assert_eq!(run("--fpm-config=/usr/local/etc/php-fpm.conf"), original);
    assert_eq!(run("-y=/usr/local/etc/php-fpm.conf --fpm"), original);
}

#[test]
fn all_short_options_and_their_long_forms() {
    let short = run("-c /ini -n -d a=b -e -p /prefix -g /pid -R -D -O");
    let long = run(
        "--php-ini /ini --no-php-ini --define a=b --profile-info --prefix=/prefix --pid=/pid --allow-to-run-as-root --daemonize --force-stderr",
    );
    assert_eq!(short, long);
    assert_eq!(short.engine.defines, ["a=b"]);
    assert!(short.engine.no_ini && short.engine.extended_info && short.allow_root && short.force_stderr);
    assert_eq!(short.daemonize, Some(true));
    assert_eq!(run("-D -F").daemonize, Some(false));
    assert_eq!(run("--nodaemonize").daemonize, Some(false));
}

#[test]
fn letters_may_stand_together_and_the_last_one_may_take_a_value() {
    let options = run("-xnFRdfoo=bar -d=x=y -d z");
    assert!(options.engine.no_ini && options.allow_root);
    assert_eq!(options.daemonize, Some(false));
    assert_eq!(options.engine.defines, ["foo=bar", "x=y", "z"]);
}

#[test]
fn a_value_may_look_like_an_option() {
    assert_eq!(run("-d --fpm").engine.defines, ["--fpm"]);
}

#[test]
fn the_first_option_that_prints_something_wins() {
    assert_eq!(line("-h -Z"), Ok(Command::Help));
    assert_eq!(line("-?"), Ok(Command::Help));
    assert_eq!(line("--usage"), Ok(Command::Help));
    assert!(
        matches!(line("-nv -Z"), Ok(Command::Describe { topic: Topic::Version, options }) if options.engine.no_ini)
    );
    assert!(matches!(line("-m"), Ok(Command::Describe { topic: Topic::Modules, .. })));
    assert_eq!(line("-Z -h"), Err(Usage));
    assert_eq!(line("-i -Z"), Err(Usage));
    assert!(matches!(line("-i left over"), Ok(Command::Describe { topic: Topic::Info, .. })));
}

#[test]
fn testing_once_or_twice() {
    assert!(matches!(line("-t"), Ok(Command::Test { dump: false, .. })));
    assert!(matches!(line("-tt"), Ok(Command::Test { dump: true, .. })));
    assert!(matches!(line("-t -n --test"), Ok(Command::Test { dump: true, .. })));
    assert!(matches!(line("--test=x"), Ok(Command::Test { dump: false, .. })));
}

#[test]
fn an_old_file_is_converted() {
    let Ok(Command::Convert { file, options }) = line("--fpm -n --convert old.xml -p /p") else { panic!("not read") };
    assert_eq!((file.as_path(), options.prefix.as_deref()), (Path::new("old.xml"), Some(Path::new("/p"))));
    assert!(matches!(line("--convert=old.xml"), Ok(Command::Convert { file, .. }) if file == Path::new("old.xml")));
    assert_eq!(line("--convert"), Err(Usage));
    assert_eq!(line("--convert old.xml left over"), Err(Usage));
}

#[test]
fn what_is_not_understood_is_refused() {
    for wrong in ["-Z", "--nosuch", "-y", "--pid", "--pid=", "-t x", "-", "-:", "-t-", "-t -- x", "-nZ", "--fpm-conf x"]
    {
        assert_eq!(line(wrong), Err(Usage), "{wrong}");
    }
    assert!(matches!(line("-t --"), Ok(Command::Test { .. })));
}

#[test]
fn the_words_of_the_control_script_stand_among_the_options() {
    for text in ["reload -y c", "-y c reload", "--fpm -y c reload -n"] {
        let place = text.split(' ').position(|word| word == "reload").unwrap();
        assert!(
            matches!(line(text), Ok(Command::Control { verb: Verb::Reload, at, options, .. })
                if at == place && options.config_file.is_some()),
            "{text}"
        );
    }
    assert!(matches!(line("quit -F"), Ok(Command::Control { verb: Verb::Quit, .. })));
    for wrong in [
        "start stop",
        "start -F",
        "-F restart",
        "reload -t",
        "stop now",
        "Reload",
        "stop --changed",
        "--changed",
        "stop --fpm-fd=3",
    ] {
        assert_eq!(line(wrong), Err(Usage), "{wrong}");
    }
    assert!(matches!(line("-i start"), Ok(Command::Describe { topic: Topic::Info, .. })));
}

#[test]
fn a_reload_may_be_limited() {
    let part = |text: &str| match line(text) {
        Ok(Command::Control { verb: Verb::Reload, part, .. }) => (part.changed, part.names.join(" ")),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(part("reload -y c"), (false, String::new()));
    assert_eq!(part("reload www -y c shop stop"), (false, "www shop stop".to_owned()));
    assert_eq!(part("--changed reload"), (true, String::new()));
    assert_eq!(part("reload www --changed"), (true, "www".to_owned()));
}

#[test]
fn our_own_roles_are_read_strictly() {
    assert!(matches!(
        line("--fpm -y c --fpm-role=zygote --fpm-fd=7"),
        Ok(Command::Role { role: Role::Zygote, fd: 7, options }) if options.config_file.is_some()
    ));
    assert!(matches!(line("--fpm-role=check --fpm-fd=0"), Ok(Command::Role { role: Role::Check, fd: 0, .. })));
    assert!(matches!(line("--fpm-role=resume --fpm-fd=3"), Ok(Command::Role { role: Role::Resume, .. })));
    for wrong in [
        "--fpm-role=zygote",
        "--fpm-fd=3",
        "--fpm-role=worker --fpm-fd=3",
        "--fpm-role=zygote --fpm-fd=-1",
        "--fpm-role=zygote --fpm-fd=+1",
        "--fpm-role=zygote --fpm-fd=3x",
        "--fpm-role=zygote --fpm-fd=99999999999",
    ] {
        assert_eq!(line(wrong), Err(Usage), "{wrong}");
    }
}

#[test]
fn where_the_configuration_is() {
    let default = Path::new("/etc/php-fpm.conf");
    assert_eq!(run("").config_path(default), default);
    assert_eq!(run("-p /p").config_path(default), Path::new("/p/etc/php-fpm.conf"));
    assert_eq!(run("-p /p -y x").config_path(default), Path::new("x"));
    assert_eq!(run("-d fpm.config=/y").config_path(default), Path::new("/y"));
    assert_eq!(run("-d fpm.config=/y -y x").config_path(default), Path::new("x"));
}

#[test]
fn the_usage_names_program_and_prefix() {
    let text = usage("php-cgi", Path::new("/usr/local"));
    assert!(text.starts_with("Usage: php-cgi [-n]"));
    assert!(text.contains("(default: /usr/local)."));
}

proptest! {
    #[test]
    fn no_arguments_make_it_panic(arguments in proptest::collection::vec("(-{0,2}[a-zA-Z?:=-]{0,8}|.{0,6})", 0..6)) {
        let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
        let _ = parse(&arguments);
    }
}
