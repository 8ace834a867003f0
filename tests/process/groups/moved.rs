//! A reload takes an address from a pool while clients wait there, and no worker of the former generation will serve them: the next
//! generation does.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use testkit::clock::{bar, ms, wait_until};
use testkit::fastcgi::Client;
use testkit::sandbox::free_port;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::Groups;

const ONDEMAND: &str = "pm = ondemand";

/// Two groups; the lines of the second one's pool, with the address that a reload takes from it.
struct Moved {
    groups: Groups,
    former: Address,
    lines: String,
}

impl Moved {
    fn start(target: &Target, at_port: bool, lines: &str) -> Outcome<Self> {
        let former: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let listen = if at_port { former.to_string() } else { "{{DIR}}/former.sock".to_owned() };
        let lines = format!("pm.max_children = 1\nlisten.mode = 0666\n{lines}");
        let groups = Groups::start(target, &[("a", ""), ("b", &format!("{lines}\nlisten = {listen}"))])?;
        let former = if at_port { Address::Tcp(former) } else { Address::Unix(groups.file("former.sock")) };
        Ok(Self { groups, former, lines })
    }

    /// Clients that have sent their requests.
    fn wait_there(&self, count: usize) -> Outcome<Vec<Client>> {
        let connect = |_| {
            let mut client = Client::connect(&self.former, bar(ms(10_000)))?;
            client.send(&self.groups.server.hello().encode(1))?;
            Ok(client)
        };
        (0..count).map(connect).collect()
    }

    fn take_address(&self) -> Outcome {
        let lines = format!("{}\nlisten = {{{{DIR}}}}/b.sock", self.lines);
        self.groups.write("", &[("a", ""), ("b", &lines)])?;
        self.groups.server.reload()?;
        self.groups.serves("b")
    }

    /// Kills its processes until the next start of a zygote has to wait.
    fn kill(&self) -> Outcome {
        let server = &self.groups.server;
        for _ in 0..7 {
            // A group without workers starts a zygote for a client only.
            let _client = Client::connect(&self.former, ms(1_000))?;
            let came = wait_until("a zygote", bar(ms(5_000)), || !server.zygotes_of("b").is_empty());
            came.map_err(|e| format!("{e}: {}", server.log.tail(9)))?;
            let zygote = server.zygote_of("b")?;
            let workers = zygote.descendants();
            workers.iter().chain([&zygote]).for_each(|process| process.signal(Signal::SIGKILL));
            wait_until("its end", bar(ms(5_000)), || !zygote.lives())?;
        }
        ensure!(server.zygotes_of("b").is_empty(), "a zygote is there again: {}", server.log.tail(9));
        Ok(())
    }

    fn expect_answers(self, clients: Vec<Client>) -> Outcome {
        let log = &self.groups.server.log;
        for (at, mut client) in clients.into_iter().enumerate() {
            let answer =
                client.answer().map_err(|e| format!("{:?}, client {at}: {e}: {}", self.former, log.tail(9)))?;
            ensure!(answer.body() == "hello", "{:?}, client {at}: {:?}", self.former, answer.body());
        }
        wait_until("the refusal of others", bar(ms(2_000)), || Client::connect(&self.former, ms(1_000)).is_err())?;
        self.groups.server.stop()
    }
}

/// The workers of the former generation are inside long requests, and are then killed with their zygote.
#[test]
fn its_workers_are_busy() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for at_port in [false, true] {
        let moved = Moved::start(&target, at_port, "")?;
        let _long = moved.groups.server.in_hand_at(&moved.former, ms(60_000))?;
        let former = moved.groups.server.zygote_of("b")?;
        let workers = former.descendants();
        let clients = moved.wait_there(6)?;
        moved.take_address()?;
        workers.iter().chain([&former]).for_each(|process| process.signal(Signal::SIGKILL));
        moved.expect_answers(clients)?;
    }
    Ok(())
}

/// All processes of the group have been killed, and the next generation comes before the former one's next zygote.
#[test]
fn its_group_is_dead() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for (at_port, lines) in [(false, ""), (true, ""), (false, ONDEMAND)] {
        let moved = Moved::start(&target, at_port, lines)?;
        moved.kill()?;
        let clients = moved.wait_there(6)?;
        moved.take_address()?;
        moved.expect_answers(clients)?;
    }
    Ok(())
}

/// Clients that `listen.allowed_clients` does not name are not served by the next generation either.
#[test]
fn its_clients_are_not_allowed() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let moved = Moved::start(&target, true, "listen.allowed_clients = 127.0.0.9")?;
    moved.kill()?;
    let clients = moved.wait_there(2)?;
    moved.take_address()?;
    for mut client in clients {
        ensure!(client.record().is_err() || client.record()?.is_none(), "it is served");
    }
    moved.groups.server.stop()
}
