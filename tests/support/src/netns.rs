//! A private network for a test: the test runs itself once more inside a new network and mount namespace.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;
use crate::target::as_root;
use crate::{Outcome, ensure, skip};

const INSIDE: &str = "CGI_FPM_TEST_INSIDE";

/// Set up in the namespaces: loopback with further addresses, and files in place of the system's.
const PREPARE: &str = r#"set -e
ip link set lo up
for address in $ADDRESSES; do ip address add "$address" dev lo nodad 2>/dev/null || ip address add "$address" dev lo; done
mount --bind "$FILE" "$PLACE"
exec "$@""#;

/// Whether this is the run inside. If not, runs this test inside, with these addresses on its loopback device
/// (`127.0.0.0/8` and `::1` exist already) and these lines in `/etc/hosts`; a failure there is the error.
///
/// # Errors
/// The run inside has failed.
pub fn inside(addresses: &[&str], hosts: &str) -> Outcome<bool> {
    run_inside(addresses, "/etc/hosts", hosts)
}

/// The same with these lines at the end of `/etc/group`.
///
/// # Errors
/// The run inside has failed.
pub fn inside_with_groups(lines: &str) -> Outcome<bool> {
    run_inside(&[], "/etc/group", &(std::fs::read_to_string("/etc/group")? + lines))
}

/// The same with these lines in place of a file of the system's.
///
/// # Errors
/// The run inside has failed.
pub fn inside_with_file(place: &str, lines: &str) -> Outcome<bool> {
    run_inside(&[], place, lines)
}

fn run_inside(addresses: &[&str], place: &str, text: &str) -> Outcome<bool> {
    let test = crate::this_test::name().ok_or("not in the thread of a test")?;
    if std::env::var(INSIDE).as_deref() == Ok(test.as_str()) {
        return Ok(true);
    }
    if !as_root() || !can_unshare() {
        skip("needs root and namespaces");
        return Ok(false);
    }
    let sandbox = Sandbox::new()?;
    sandbox.put("file", text)?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", PREPARE, "sh"]).arg(std::env::current_exe()?);
    command.args(["--exact", &test, "--nocapture", "--test-threads", "1"]).process_group(0);
    command.env(INSIDE, &test).env("ADDRESSES", addresses.join(" "));
    command.env("FILE", sandbox.file("file")).env("PLACE", place);
    let output = command.stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success() && text.contains("1 passed"), "inside of its namespace:\n{text}");
    Ok(false)
}

fn can_unshare() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", "ip link set lo up"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
