//! One user's scripts attack everybody else.

use testkit::clock::ms;
use testkit::fastcgi::{Request, ask_once};
use testkit::random::Random;
use testkit::stream::Address;
use testkit::{Outcome, ensure};

use super::world::{ATTACKER, World};

/// The attacks. Each is a request; most have no answer.
pub(super) const PAGE: &str = r#"<?php
$signal = (int) $_GET['signal'];
switch ($_GET['do']) {
    case 'own': posix_kill(-1, $signal); break;
    case 'zygote': posix_kill(posix_getppid(), $signal); break;
    case 'self': posix_kill(getmypid(), $signal); usleep(100000); break;
    case 'foreign':
        $may = 0;
        foreach (glob('/proc/[0-9]*') as $dir) {
            $may += @fileowner($dir) !== posix_getuid() && posix_kill((int) basename($dir), 0);
        }
        exit("$may foreign processes");
    case 'output': shell_exec('(timeout 2 yes >&2 &) >/dev/null'); break;
    case 'errors':
        for ($end = hrtime(true) + 1_000_000_000; hrtime(true) < $end;) error_log(str_repeat('x', 8000));
        break;
    case 'forks': shell_exec('for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 4 &); done >/dev/null'); break;
    case 'endless': for (;;) usleep(100000);
    case 'dead': posix_kill(posix_getppid(), 19); posix_kill(-1, 19); posix_kill(getmypid(), 19); break;
}
echo 'done';
"#;

const ATTACKS: &[&str] = &["own", "zygote", "self", "foreign", "output", "errors", "forks", "endless", "dead"];
/// HUP, INT, QUIT, KILL, USR1, SEGV, USR2, TERM, CONT, STOP, WINCH, and the first real-time signals.
const SIGNALS: &[i32] = &[1, 2, 3, 9, 10, 11, 12, 15, 18, 19, 28, 34, 35];

/// Until it is calm again.
pub(super) fn attack(world: &World) -> Outcome {
    let mut random = Random::of_thread(world.seed, 2);
    while !world.is_calm() {
        world.sleep(random.ms(50, 1500));
        let attack = random.of(ATTACKS).copied().unwrap_or_default();
        let signal = random.of(SIGNALS).copied().unwrap_or_default();
        let pool = &world.pools[ATTACKER * 2 + random.below(2)];
        world.journal.note(format!("attack by {}: {attack} {signal}", pool.name));
        let page = world.server.sandbox.page("attack.php");
        let request = Request::get(&page).param("QUERY_STRING", &format!("do={attack}&signal={signal}"));
        let Some(address) = pool.addresses().into_iter().find(|path| path.exists()) else { continue };
        let body = ask_once(&Address::Unix(address), &request, ms(1500)).unwrap_or_default();
        let harmless = attack != "foreign" || body.is_empty() || body == "0 foreign processes";
        ensure!(harmless, "the attacker may signal {body}");
    }
    Ok(())
}
