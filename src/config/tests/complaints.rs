//! Messages about errors, and the lines that they name.

use super::*;

#[test]
fn the_pid_file_is_found_though_a_pool_is_broken() {
    let pid_file = |conf: &str| {
        let place = Place::new(conf);
        let found = pid_file(&place.path().join("php-fpm.conf"), &place.options());
        found
            .map(|file| file.map(|file| file.strip_prefix(place.path()).unwrap().to_owned()))
            .map_err(|m| m.lines.len())
    };
    assert_eq!(pid_file("[global]\npid = x.pid\n[www]\npm = nonsense\n"), Ok(Some("x.pid".into())));
    assert_eq!(pid_file(POOL), Ok(None));
    assert_eq!(pid_file("[global]\nnonsense = 1\npid = x.pid\n"), Err(2));
}

#[test]
fn numbers_of_owners_that_are_too_large_are_refused() {
    for (name, what) in [("owner", "uid for user"), ("group", "gid for group")] {
        let access = |number| socket_access(&pool_with(&format!("listen.{name} = {number}")).config().pools[0]);
        let error = access("99999999999").unwrap_err().to_string();
        assert_eq!(error, format!("[pool www] cannot get {what} '99999999999'"));
        assert!(access("4294967294").is_ok());
    }
}

#[test]
fn complaints_name_file_and_line_also_behind_an_include() {
    let place = pool_with("include = a.inc\nnosuch = 1");
    place.write("a.inc", "; one\n; two\n; three\n");
    assert_eq!(place.refusal(), ["Error: [DIR/php-fpm.conf:7] unknown entry 'nosuch'"]);
    place.write("a.inc", "; one\npm.max_childs = 2\n");
    assert_eq!(
        place.refusal()[..2],
        [
            "Error: [DIR/a.inc:2] unknown entry 'pm.max_childs'",
            "Notice: [DIR/a.inc:2] hint: did you mean pm.max_children?"
        ]
    );
    place.write("a.inc", "; one\npm = fast\n");
    assert_eq!(
        place.refusal(),
        [
            "Error: [DIR/a.inc:2] unable to parse value for entry 'pm': invalid process manager (static, dynamic or ondemand)",
            "Error: Unable to include DIR/a.inc from DIR/php-fpm.conf at line 6"
        ]
    );
}

#[test]
fn includes_within_includes_end_at_five() {
    let place = pool_with("include = self.inc");
    place.write("self.inc", "include = self.inc\n");
    let refusal = place.refusal();
    assert_eq!(refusal[0], "Error: failed to include more than 5 files recursively");
    assert_eq!(refusal.len(), 6);
}

#[test]
fn bytes_that_are_not_utf8_are_fine_in_comments_and_refused_in_values() {
    let place = pool_with("");
    let file = |line: &[u8]| fs::write(place.path().join("php-fpm.conf"), [POOL.as_bytes(), line].concat()).unwrap();
    file(b"; caf\xe9\n");
    assert!(place.load().is_ok());
    file(b"env[A] = caf\xe9\n");
    assert_eq!(place.refusal(), ["Error: [DIR/php-fpm.conf:6] the value of 'env' is not valid UTF-8"]);
}

#[test]
fn root_must_name_a_user_unless_it_is_allowed_not_to() {
    let place = Place::new("[www]\nlisten = 9000\npm = static\npm.max_children = 1\n");
    let file = place.path().join("php-fpm.conf");
    let root = LoadOptions { root: true, ..place.options() };
    assert!(load(&file, &root).unwrap_err().to_string().contains("[pool www] user has not been defined"));
    assert!(load(&file, &LoadOptions { allow_root: true, ..root }).is_ok());
    assert!(place.load().is_ok());
}

#[test]
fn messages_know_what_came_before_the_log_was_open() {
    let place = Place::new(
        "include = none.inc\n[www]\nlisten = 9000\npm = dynamic\npm.max_children = 9\npm.min_spare_servers = 1\npm.max_spare_servers = 4\n",
    );
    let messages = place.load().unwrap().messages;
    assert_eq!((messages.lines.len(), messages.before_log), (2, 1));
    assert!(messages.lines[0].text().starts_with("Nothing matches the include pattern"));
    assert_eq!(messages.lines[1].text(), "[pool www] pm.start_servers is not set. It's been set to 2.");
    place.write("php-fpm.conf", "[global]\nlog_level = alert\nlog_limit = 1\n");
    assert_eq!(place.load().unwrap_err().messages.lines, []);
}

#[test]
fn the_log_of_a_refused_configuration_is_known_if_it_could_be_opened() {
    let place = Place::new("[global]\nerror_log = x.log\n[www]\n");
    let error = place.load().unwrap_err();
    assert_eq!(error.global.unwrap().error_log.file(), Some(&*place.path().join("x.log")));
    place.write("php-fpm.conf", "[global]\nerror_log = none/x.log\n[www]\n");
    let [complaint, hint] = [
        "Error: failed to open error_log (DIR/none/x.log): No such file or directory (2)",
        "Notice: [DIR/php-fpm.conf:2] hint: error_log is set here",
    ];
    assert_eq!(place.refusal(), [complaint, hint]);
    assert_eq!(place.load().unwrap_err().global, None);
}

#[test]
fn complaints_about_a_pool_lead_to_its_file_and_line() {
    let place = Place::new("include = *.inc\n");
    let pool = "[a]\nuser = nobody\nlisten = 1\npm = static\npm.max_children = 1\n";
    place.write("1.inc", pool);
    for (lines, complaint, hint) in [
        ("chdir = /none", "the chdir path '/none' does not exist or is not a directory", "7] hint: chdir is set here"),
        ("pm = dynamic", "pm.min_spare_servers(0) must be a positive value", "1] hint: [b] starts here"),
        (
            "listen = 1",
            "unable to set listen address as it's already used in another pool 'a'",
            "7] hint: listen is set here",
        ),
    ] {
        place.write("2.inc", &format!("{}{lines}\n", pool.replace("[a]\n", "[b]\n\n").replace("= 1", "= 2")));
        let refusal = place.refusal();
        assert!(refusal[0].ends_with(&format!("[pool b] {complaint}")), "{refusal:?}");
        assert_eq!(refusal[1], format!("Notice: [DIR/2.inc:{hint}"));
    }
    place.write("2.inc", "\n[global]\nlog_limit = 5\n");
    assert_eq!(place.refusal()[1], "Notice: [DIR/2.inc:3] hint: log_limit is set here");
}

#[test]
fn the_user_of_base_zygotes_exists_and_is_not_root() {
    for (name, error) in [
        ("nobody-here", "cannot get uid for process.base_user 'nobody-here'"),
        ("root", "process.base_user must be another user than root"),
        ("0", "process.base_user must be another user than root"),
    ] {
        let place = Place::new(&format!("[global]\nprocess.base_user = {name}\n{POOL}"));
        let refusal = place.refusal_with(&LoadOptions { root: true, ..place.options() });
        assert_eq!(refusal[..1], [format!("Error: {error}")]);
        assert_eq!(refusal[1..], ["Notice: [DIR/php-fpm.conf:2] hint: process.base_user is set here"]);
        assert!(place.load().is_ok(), "without root it has no meaning");
    }
}
