//! Scripts that fork, where PHP has pcntl (Debian's php-cgi, through the stock door).
#![forbid(unsafe_code)]

use testkit::clock::{ms, wait_until};
use testkit::fastcgi::{Client, Request};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, skip, turn};

const FORKS: &str = r"<?php
if (!function_exists('pcntl_fork')) { exit('no pcntl'); }
echo 'before ';
register_shutdown_function(fn() => file_put_contents('OUT/' . getmypid(), $GLOBALS['who'] ?? ''));
$child = pcntl_fork();
$who = $child === 0 ? 'child' : 'parent';
echo $who;
if ($child === 0) {
    isset($_GET['finish']) && fastcgi_finish_request();
    exit(3);
}
pcntl_waitpid($child, $status);
echo ' ', pcntl_wexitstatus($status);
";

/// The child ends with its script, sends nothing on its parent's connection, and runs its shutdown functions; the
/// worker continues to serve.
#[test]
fn a_forked_process_ends_with_its_script() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = Server::start(&target, &Setup::new(1))?;
    let out = server.sandbox.page("out");
    std::fs::create_dir(&out)?;
    std::fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    server.sandbox.put("www/forks.php", &FORKS.replace("OUT", &out.display().to_string()))?;
    let page = |name: &str| Request::get(&server.sandbox.page(name)).keep();
    let mut client = Client::connect(&server.address, ms(10_000))?;
    let worker = client.ask(&page("pid.php"))?.body();
    for query in ["", "finish=1"] {
        let body = client.ask(&page("forks.php").param("QUERY_STRING", query))?.body();
        if body == "no pcntl" {
            skip("this PHP has no pcntl");
            return server.stop();
        }
        ensure!(body == "before parent 3", "{body}");
    }
    wait_until("the shutdown functions", ms(5_000), || std::fs::read_dir(&out).is_ok_and(|files| files.count() == 3))?;
    let after = client.ask(&page("pid.php"))?.body();
    ensure!(after == worker, "another worker than {worker}: {after}");
    server.stop()
}
