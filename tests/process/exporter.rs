//! A monitoring agent from PyPI (agent360) reads the status page with its own code, unchanged.
#![forbid(unsafe_code)]

use std::process::Command;

use testkit::clock::ms;
use testkit::front::{Front, Kind};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

/// Reads the page twice, with five requests between: the rate of connections needs an earlier value.
const SCRIPT: &str = "
import configparser, json, sys, time, urllib.request
sys.path.insert(0, sys.argv[1] + '/agent360/plugins')
import phpfpm
config = configparser.RawConfigParser()
config['phpfpm'] = {'status_page_url': sys.argv[2] + '/status?json'}
plugin = phpfpm.Plugin([{}])
first = plugin.run(config)
for _ in range(5):
    urllib.request.urlopen(sys.argv[2] + '/hello.php').read()
time.sleep(0.2)
print(json.dumps([first, plugin.run(config)]))
";

#[test]
fn an_agent_reads_the_status_page() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let Some(agent) = std::env::var_os("CGI_FPM_EXPORTER").filter(|path| !path.is_empty()) else {
        skip("CGI_FPM_EXPORTER isn't set (make test fetches the agent)");
        return Ok(());
    };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(3).pool("pm.status_path = /status"))?;
    let front = Front::start(Kind::Nginx, &server.sandbox.file("www"), &server.address)?;
    front.client(ms(10_000)).get("/hello.php")?.expect(200)?;
    let url = format!("http://{}", front.address());
    let ran = Command::new("python3").arg("-B").args(["-c", SCRIPT]).arg(agent).arg(url).output()?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let told: serde_json::Value = serde_json::from_slice(&ran.stdout).map_err(|e| format!("{e}: {said}"))?;
    let (first, second) = (&told[0]["www"], &told[1]["www"]);
    ensure!(first["process_manager"] == "static" && first["total_processes"] == 3, "{told}");
    ensure!(first["active_processes"] == 1 && first["listen_queue"] == 0, "{told}");
    let count = |of: &serde_json::Value| of["accepted_conn"].as_u64().unwrap_or_default();
    ensure!(count(first) >= 2 && count(second) == count(first) + 6, "{told}");
    ensure!(second["accepted_conn_per_second"].as_f64() > Some(1.0), "{told}");
    server.stop()
}
