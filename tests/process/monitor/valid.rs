//! Both formats are read by the parsers of others: Python's prometheus_client, which is strict, and Prometheus' own (`promtool`).

use std::io::Write as _;
use std::process::{Command, Stdio};

use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, http, skip, turn};

use super::Monitored;

const STRICT: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
read = openmetrics if sys.argv[1] == 'openmetrics' else plain
families = {family.name: family for family in read(sys.stdin.read())}
print(len(families), families['phpfpm_request_duration_seconds'].type, families['phpfpm_accepted_connections'].type)
";

/// Debian's Python, whose packages the machine has.
const PYTHON: &str = "/usr/bin/python3";

fn piped(command: &mut Command, text: &[u8]) -> Outcome<(bool, String)> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(text)?;
    let output = child.wait_with_output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()))
}

#[test]
fn parsers_of_others() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let has_python =
        Command::new(PYTHON).args(["-c", "import prometheus_client"]).output().is_ok_and(|ran| ran.status.success());
    let has_promtool = Command::new("promtool").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !has_python || !has_promtool {
        ensure!(std::env::var("CI").as_deref() != Ok("true"), "both are needed");
        skip("python3-prometheus-client or prometheus is not installed");
        return Ok(());
    }
    let _turn = turn::shared()?;
    let monitored = Monitored::start(&target, &Setup::new(2))?;
    monitored.server.says_hello(&monitored.server.address)?;
    let fetch = |accept: &str| -> Outcome<http::Reply> {
        http::Client::new(monitored.address, ms())
            .send("GET", "/metrics", &format!("Accept: {accept}\r\n"), b"")?
            .expect(200)
    };
    let plain = fetch("text/plain;version=0.0.4")?;
    let open = fetch("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")?;
    for (reply, kind, starts, former) in [
        (&plain, "text", "text/plain; version=0.0.4", "unknown"),
        (&open, "openmetrics", "application/openmetrics-text; version=1.0.0", "unknown"),
    ] {
        ensure!(reply.header("content-type").is_some_and(|value| value.starts_with(starts)), "{:?}", reply.headers);
        let (read, said) = piped(Command::new(PYTHON).args(["-c", STRICT, kind]), &reply.body)?;
        ensure!(read && said.ends_with(&format!("histogram {former}")), "{kind}: {said}");
    }
    let (accepted, said) = piped(Command::new("promtool").args(["check", "metrics"]), &plain.body)?;
    ensure!(accepted && said.is_empty(), "promtool: {said}");
    monitored.server.stop()
}

fn ms() -> std::time::Duration {
    testkit::clock::ms(5000)
}
