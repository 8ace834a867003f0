//! The cases: a page and a kind of connection.

use testkit::fastcgi::Request;
use testkit::server::Server;

/// A page and a way to ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// "hello" on a kept connection.
    HelloKept,
    /// "hello" on a connection of its own.
    HelloNew,
    /// A page that reads $_SERVER with 27 parameters, kept.
    Server,
    /// 100 KB of output, kept.
    Output,
}

impl Case {
    /// In the order of the table.
    pub const ALL: [Self; 4] = [Self::HelloKept, Self::HelloNew, Self::Server, Self::Output];

    /// As the table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HelloKept => "hello, kept",
            Self::HelloNew => "hello, new connection",
            Self::Server => "$_SERVER page, kept",
            Self::Output => "100 KB of output, kept",
        }
    }

    /// Whether the connection stays.
    pub fn kept(self) -> bool {
        self != Self::HelloNew
    }

    /// The request.
    pub fn request(self, server: &Server) -> Request {
        let page = match self {
            Self::HelloKept | Self::HelloNew => "hello.php",
            Self::Server => "server.php",
            Self::Output => "download.php",
        };
        let request = Request::get(&server.sandbox.page(page)).param("QUERY_STRING", "kb=100");
        Request { keep: self.kept(), ..request }
    }

    /// The length of the expected body.
    pub fn length(self) -> usize {
        match self {
            Self::HelloKept | Self::HelloNew => 5,
            Self::Server => 6,
            Self::Output => 102_400,
        }
    }
}
