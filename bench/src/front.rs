//! A web server in front of each of the two servers.

use testkit::Outcome;
use testkit::apache::Apache;
use testkit::nginx::{Nginx, Upstream};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Listen;
use testkit::stream::Address;
use testkit::target::Target;

use crate::client::{Check, Many, Protocol};
use crate::options::Options;
use crate::pair::{Pair, setup};

/// Workers of the pool.
const WORKERS: u32 = 4;
/// More than there are clients in a closed loop.
const KEPT: Upstream = Upstream::Kept(64);

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// One worker process.
    Nginx,
    /// The event MPM.
    Apache,
}

/// A web server and its way to the pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Front {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    listen: Listen,
    upstream: Upstream,
}

/// All that are measured.
pub(crate) const FRONTS: [Front; 7] = [
    front("nginx unix", Program::Nginx, Listen::Unix, Upstream::PerRequest),
    front("nginx TCP", Program::Nginx, Listen::Tcp, Upstream::PerRequest),
    front("nginx kept unix", Program::Nginx, Listen::Unix, KEPT),
    front("nginx kept TCP", Program::Nginx, Listen::Tcp, KEPT),
    front("Apache unix", Program::Apache, Listen::Unix, Upstream::PerRequest),
    front("Apache TCP", Program::Apache, Listen::Tcp, Upstream::PerRequest),
    front("Apache kept TCP", Program::Apache, Listen::Tcp, Upstream::Kept(32)),
];

const fn front(name: &'static str, program: Program, listen: Listen, upstream: Upstream) -> Front {
    Front { name, program, listen, upstream }
}

impl Program {
    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache2",
        }
    }

    /// Whether it is there.
    pub(crate) fn is_installed(self) -> bool {
        match self {
            Self::Nginx => Nginx::is_installed(),
            Self::Apache => Apache::is_installed(),
        }
    }
}

/// A running web server; it ends when dropped.
#[derive(Debug)]
enum Web {
    Nginx(Nginx),
    Apache(Apache),
}

/// Both servers, each behind a web server of its own.
#[derive(Debug)]
pub(crate) struct Fronted {
    pub(crate) pair: Pair,
    webs: [Web; 2],
    addresses: [Address; 2],
    check: Check,
}

const REQUEST: &[u8] = b"GET /hello.php HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

impl Front {
    /// Starts everything, and sends the first requests.
    ///
    /// # Errors
    /// If a server does not start, or answers something else.
    pub(crate) fn start(&self, ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Fronted> {
        let pair = Pair::start(ours, &setup(WORKERS, self.listen), options)?;
        let webs = [self.web(pages, &pair.0[0])?, self.web(pages, &pair.0[1])?];
        let addresses = webs.each_ref().map(|web| match web {
            Web::Nginx(nginx) => Address::Tcp(nginx.address()),
            Web::Apache(apache) => Address::Tcp(apache.address()),
        });
        let fronted = Fronted { pair, webs, addresses, check: Check::like(b"hello", false) };
        for at in 0..2 {
            fronted.load(at, 4).closed(1000)?;
        }
        Ok(fronted)
    }

    fn web(&self, pages: &Sandbox, server: &Server) -> Outcome<Web> {
        Ok(match self.program {
            Program::Nginx => Web::Nginx(Nginx::start(pages, &server.address, self.upstream)?),
            Program::Apache => Web::Apache(Apache::start_with(pages, &server.address, self.upstream)?),
        })
    }
}

impl Fronted {
    /// Load on one of them. Clients keep their connections to the web server.
    pub(crate) fn load(&self, at: usize, connections: usize) -> Many<'_> {
        let (address, check) = (&self.addresses[at], &self.check);
        Many { address, protocol: Protocol::Http, request: REQUEST, check, connections }
    }

    /// Ends everything. The web servers end first: php-fpm waits for kept connections.
    ///
    /// # Errors
    /// If a process stays.
    pub(crate) fn stop(self) -> Outcome {
        drop(self.webs);
        self.pair.stop()
    }
}

/// Says which programs are missing and how to install them.
pub(crate) fn missing() -> Vec<String> {
    let programs = [Program::Nginx, Program::Apache].into_iter().filter(|program| !program.is_installed());
    programs
        .map(|program| format!("skipped: cases with {0}; it is missing (apt-get install {0})", program.name()))
        .collect()
}

/// The web servers that are there and that the options ask for.
pub(crate) fn wanted(options: &Options) -> Vec<Front> {
    FRONTS.into_iter().filter(|front| front.program.is_installed() && options.wants(front.name)).collect()
}
