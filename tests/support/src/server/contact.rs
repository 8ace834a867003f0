//! Signals and requests to a server, and what becomes of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{READY, Server};
use crate::clock::{bar, ms, wait_until};
use crate::fastcgi::{Client, Request, ask_once};
use crate::stream::Address;
use crate::{Outcome, ensure};

impl Server {
    /// Reloads (SIGUSR2) and waits until the log says that it is done.
    ///
    /// # Errors
    /// When it isn't within 20 s.
    pub fn reload(&self) -> Outcome {
        let mark = self.log.mark();
        self.supervisor.signal(Signal::SIGUSR2);
        self.log.wait_for(mark, &["Reloading in progress", READY], ms(20_000))
    }

    /// Waits until that group has one zygote, of that generation.
    ///
    /// # Errors
    /// When it hasn't within the limit.
    pub fn await_generation(&self, group: &str, number: usize, limit: Duration) -> Outcome {
        let title = format!("php-fpm: zygote {group} (generation {number})");
        let alone = || matches!(&self.zygotes_of(group)[..], [zygote] if zygote.title() == title);
        let awaited = wait_until(&title, limit, alone);
        Ok(awaited.map(drop).map_err(|e| format!("{e}: {}", self.log.tail(9)))?)
    }

    /// Sends SIGUSR1 and waits until the log says that the supervisor has handled it; returns how long that took.
    ///
    /// # Errors
    /// When it hasn't within the limit.
    pub fn hears(&self, limit: Duration) -> Outcome<Duration> {
        let (mark, begun) = (self.log.mark(), Instant::now());
        self.supervisor.signal(Signal::SIGUSR1);
        let heard = self.log.wait_for(mark, &["error log file re-opened"], limit);
        heard.map_err(|e| format!("{e}; the supervisor's state is {}", self.supervisor.state()))?;
        Ok(begun.elapsed())
    }

    /// The request for `hello.php`.
    #[must_use]
    pub fn hello(&self) -> Request {
        Request::get(&self.sandbox.page("hello.php"))
    }

    /// Asks for `hello.php` at one of its addresses.
    ///
    /// # Errors
    /// When the answer is another one, or takes over 10 s.
    pub fn says_hello(&self, at: &Address) -> Outcome {
        let body = ask_once(at, &self.hello(), ms(10_000))?;
        ensure!(body == "hello", "{at:?}: {body:?}");
        Ok(())
    }

    /// Sends a request that takes that long and whose script runs: it prints `done`, or how its sleep was
    /// interrupted.
    ///
    /// # Errors
    /// When the script doesn't begin in time.
    pub fn in_hand(&self, lasts: Duration) -> Outcome<Client> {
        self.in_hand_at(&self.address, lasts)
    }

    /// As `in_hand`, at one of its addresses. The pool's user needs the right to write to the directory `out`.
    ///
    /// # Errors
    /// When the script doesn't begin in time.
    pub fn in_hand_at(&self, at: &Address, lasts: Duration) -> Outcome<Client> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let begun = self.sandbox.file(&format!("out/begun-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let page = self.sandbox.page("in_hand.php");
        if !page.exists() {
            self.sandbox.put("www/in_hand.php", "<?php touch($_GET['begun']); require __DIR__ . '/work.php';\n")?;
        }
        let query = format!("ms={}&begun={}", lasts.as_millis(), begun.display());
        let mut client = Client::connect(at, lasts + bar(ms(10_000)))?;
        client.send(&Request::get(&page).param("QUERY_STRING", &query).encode(1))?;
        wait_until("the script runs", bar(ms(10_000)), || begun.exists())?;
        Ok(client)
    }
}
