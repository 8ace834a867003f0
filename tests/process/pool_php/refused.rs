//! Programs and libraries that a pool names and that are not started, with the reason.
#![forbid(unsafe_code)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::time::Instant;

use super::{GLOBAL, fake, section};
use testkit::sandbox::Sandbox;
use testkit::stage::{Ran, run_in};
use testkit::target::{Target, web_user};
use testkit::{Outcome, ensure, turn};

/// `-t` with a pool that says this.
fn test(target: &Target, sandbox: &Sandbox, lines: &str) -> Outcome<Ran> {
    let conf = format!("{GLOBAL}{}", section("own", web_user().unwrap_or_default(), lines));
    sandbox.configure(&conf)?;
    run_in(target, sandbox, &["-t", "-y", "fpm.conf"])
}

const FAKE: &str = "process.php = {{DIR}}/fake";

#[test]
fn what_cannot_be_talked_to() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().display().to_string();
    let refused = |lines: &str, said: &str| -> Outcome {
        test(&target, &sandbox, lines)?.expect(78, &[&format!("ERROR: [pool own] {}", said.replace("DIR", &dir))])?;
        Ok(())
    };
    refused(FAKE, "process.php = DIR/fake: No such file or directory")?;
    refused("process.php = {{DIR}}", "process.php = DIR: ")?;
    refused("process.php_library = {{DIR}}/no.so", "process.php_library = DIR/no.so: No such file or directory")?;
    sandbox.put("text", "no program")?;
    refused("process.php = {{DIR}}/text", "process.php = DIR/text: this is not a php-cgi")?;
    let library = format!("library\":\"{dir}/text\"");
    let answer = |protocol: &str| {
        format!(
            "echo '{{\"protocol\":{protocol},\"cgi_fpm\":\"9\",\"php\":\"8.4.1\",\"api\":1,\"zts\":false,\"x\":{{}},\"{library}}}'"
        )
    };
    fake(&sandbox, &answer("[1]"))?;
    refused(FAKE, "DIR/fake speaks protocol 1, this supervisor 2\n")?;
    fake(&sandbox, &answer("[7,5,6]"))?;
    refused(FAKE, "DIR/fake speaks protocol 5 to 7, this supervisor 2\n")?;
    fake(&sandbox, "echo 'cannot load cgi-fpm.so' >&2; exit 70")?;
    refused(FAKE, "DIR/fake --fpm does not work: cannot load cgi-fpm.so")?;
    fake(&sandbox, "exit 1")?;
    refused(FAKE, "DIR/fake --fpm does not work: it exits without an answer")?;
    fake(&sandbox, "cat /dev/zero")?;
    refused(FAKE, "DIR/fake --fpm does not ")?;
    let began = Instant::now();
    fake(&sandbox, "sleep 60")?;
    refused(FAKE, "DIR/fake --fpm does not say within 5 seconds")?;
    ensure!(began.elapsed().as_secs() < 10, "it took {:?}", began.elapsed());
    Ok(())
}

/// As root: a program is asked without our environment, and only if no other user can have replaced it.
#[test]
fn what_is_not_roots() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let dir = sandbox.path().display().to_string();
    fake(&sandbox, "env | grep -c CGI_FPM")?;
    let ran = test(&target, &sandbox, FAKE)?.expect(78, &["--fpm does not work: 0"])?;
    ensure!(!ran.text.contains("test is successful"), "{}", ran.text);
    let mode = |mode| fs::set_permissions(sandbox.file("fake"), Permissions::from_mode(mode));
    let advice = "can change this file or replace it, and php-fpm runs as root: use chown root and chmod go-w";
    mode(0o775)?;
    test(&target, &sandbox, FAKE)?
        .expect(78, &[&format!("process.php = {dir}/fake: a group or everybody {advice}")])?;
    mode(0o755)?;
    chown(sandbox.file("fake"), Some(2001), None)?;
    test(&target, &sandbox, FAKE)?.expect(78, &[&format!("process.php = {dir}/fake: user 2001 {advice}")])?;
    sandbox.put("text", "")?;
    chown(sandbox.file("text"), Some(2001), None)?;
    let ran = test(&target, &sandbox, "process.php_library = {{DIR}}/text")?;
    ran.expect(78, &[&format!("process.php_library = {dir}/text: user 2001 {advice}")])?;
    Ok(())
}

/// As root: no pool can have a process of the user that a program is asked as, which could signal it or answer in its place.
#[test]
fn its_user_has_no_other_process() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    fake(&sandbox, "echo user $(id -u), groups $(id -G), name $(id -un 2>&1)")?;
    let asked_as = |user: &str| -> Outcome<u32> {
        let pool =
            format!("[own]\nuser = {user}\ngroup = nogroup\nlisten = {{{{DIR}}}}/own.sock\npm.max_children = 1\n");
        sandbox.configure(&format!("{GLOBAL}{pool}pm = ondemand\n{FAKE}\n"))?;
        let ran = run_in(&target, &sandbox, &["-t", "-y", "fpm.conf"])?.expect(78, &["--fpm does not work: user "])?;
        let (_, said) = ran.text.split_once("does not work: user ").ok_or("no answer")?;
        let uid: u32 = said.split(',').next().unwrap_or_default().parse()?;
        ensure!(said.contains(&format!("groups {uid}, ")) && said.contains("cannot find name"), "{said}");
        Ok(uid)
    };
    let of_nobody = asked_as("nobody")?;
    let of_that_number = asked_as(&of_nobody.to_string())?;
    ensure!(of_that_number != of_nobody, "the pool's own user {of_nobody}");
    Ok(())
}
