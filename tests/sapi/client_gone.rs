//! How a script notices, step by step, that its client has closed the connection; compared with php-fpm.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use testkit::clock::{bar, ms};
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// Notes each step. It starts its answer, and continues when the client reports that it has closed the connection.
const STEPS: &str = r"<?php
function note(string $step): void {
    $state = [connection_status(), connection_aborted(), headers_sent(), ob_get_level()];
    file_put_contents('OUT/notes', $step . ' ' . json_encode($state) . PHP_EOL, FILE_APPEND);
}
class Leaver { function __destruct() { note('destructor'); } }
$leaver = new Leaver;
register_shutdown_function(function () {
    note('shutdown function');
    register_shutdown_function(fn() => note('last shutdown function'));
    echo 'more';
    flush();
    note('after its output');
});
ignore_user_abort((bool) $_GET['ignore']);
echo 'begun';
flush();
while (!file_exists('OUT/gone')) { usleep(1000); clearstatcache(); }
if ($_GET['how'] === 'buffered') {
    ob_start(function (string $text, int $phase) { note('callback ' . strlen($text) . ' ' . $phase); return $text; });
}
for ($i = 0; $i < 5; $i++) {
    usleep(10000);
    echo str_repeat('x', (int) $_GET['size']);
    if ($_GET['how'] === 'flushed') { flush(); }
    if ($_GET['how'] === 'buffered' && $i === 2) { ob_flush(); }
    note('step ' . $i);
}
note('sent ' . readfile(__FILE__) . ' of ' . filesize(__FILE__));
try { note('in try'); flush(); } finally { note('finally'); }
note('end');
";

/// How the client leaves.
#[derive(Debug, Clone, Copy)]
enum Going {
    /// It closes.
    Closes,
    /// It ends its sending side and continues to read: for the script it is still there.
    SendsNoMore,
}

fn report(server: &Server, going: Going, query: &str) -> Outcome<String> {
    let out = server.sandbox.page("out");
    let _ = fs::remove_dir_all(&out);
    fs::create_dir(&out)?;
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777))?;
    let mut client = Client::connect(&server.address, ms(20_000))?;
    client.send(&Request::get(&server.sandbox.page("steps.php")).param("QUERY_STRING", query).encode(1))?;
    ensure!(client.record()?.is_some(), "no answer");
    let stays = match going {
        Going::Closes => {
            drop(client);
            None
        }
        Going::SendsNoMore => {
            client.end_sending()?;
            Some(client)
        }
    };
    fs::write(out.join("gone"), "")?;
    if let Some(mut client) = stays {
        client.answer()?;
    }
    // The only worker is idle again: no further step follows.
    ask_once(&server.address, &Request::get(&server.sandbox.page("hello.php")), bar(ms(10_000)))?;
    Ok(fs::read_to_string(out.join("notes"))?)
}

#[test]
fn scripts_notice_what_they_notice_under_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours() else {
        return Ok(());
    };
    let _turn = turn::shared()?;
    let servers = [&target, &target.partner()].map(|target| -> Outcome<Server> {
        let server = Server::start(target, &Setup::new(1))?;
        let out = server.sandbox.page("out").display().to_string();
        server.sandbox.put("www/steps.php", &STEPS.replace("OUT", &out))?;
        Ok(server)
    });
    let [ours, theirs] = servers;
    let (ours, theirs) = (ours?, theirs?);
    for going in [Going::Closes, Going::SendsNoMore] {
        for how in ["plain", "flushed", "buffered"] {
            for size in [10, 9000, 100_000] {
                for ignore in [0, 1] {
                    let query = format!("how={how}&size={size}&ignore={ignore}");
                    let [ours, theirs] = [&ours, &theirs].map(|server| report(server, going, &query));
                    let (ours, theirs) = (ours?, theirs?);
                    ensure!(ours == theirs, "{going:?}, {query}:\n{ours}php-fpm:\n{theirs}");
                }
            }
        }
    }
    ours.stop()?;
    theirs.stop()
}
