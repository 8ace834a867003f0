//! Command lines: stock php-fpm and cgi-fpm treat them the same.

use std::ffi::OsString;
use std::path::Path;

use cgi_fpm::cli::{self, Command, Usage};
use cgi_fpm::engine::Topic;

use super::stock::Stock;

/// `CONF` stands for a valid configuration; none of these command lines starts a server.
const LINES: &[&str] = &[
    "-t -y CONF",
    "-tt -yCONF",
    "-t -y=CONF",
    "-t --fpm-config CONF",
    "-t --fpm-config=CONF",
    "-t --fpm-config==CONF",
    "-ntyCONF",
    "-ttt -n -y CONF",
    "-t -t -n -y CONF",
    "--test=x -n -y CONF",
    "-t -n -y CONF --",
    "-t -n -y CONF -- x",
    "-t -n -y CONF x",
    "-t -n -y CONF -",
    "-tnROF -d a=b -da=b -d=a=b -d a -e -y CONF -D",
    "-t -n -y CONF --daemonize --nodaemonize --force-stderr --allow-to-run-as-root --profile-info",
    "-t -n -y CONF --php-ini /none --no-php-ini --define a=b --pid x --prefix /tmp",
    "-t -n -y CONF -p /tmp -g x -c /none",
    "-t -n -y CONF -p",
    "-t -n -y CONF -y",
    "-t -n -y",
    "-t -n --fpm-config",
    "-t -n --fpm-config=",
    "-Z",
    "-t -Z -n -y CONF",
    "-tZ",
    "-t-",
    "-:",
    "-t:",
    "--nosuch",
    "--tes",
    "--test-",
    "-- -t",
    "-h",
    "-?",
    "-n?",
    "--help",
    "--usage",
    "-hZ",
    "-Zh",
    "-v",
    "-nv",
    "-n --version",
    "-v x",
    "-n -v -Z",
    "-n -Z -v",
    "-n -m",
    "-n --modules x",
    "-n -i",
    "-n -i x",
    "-n -i -Z",
    "-n -iv",
    "-n -im",
    "--info -n",
];

/// The command lines that the two read differently.
pub(crate) fn differences(stock: &Stock, conf: &Path) -> Vec<String> {
    let wrong = LINES.iter().filter_map(|line| {
        let arguments = line.split(' ').map(|part| part.replace("CONF", conf.to_str().unwrap()));
        let arguments: Vec<OsString> = arguments.map(OsString::from).collect();
        let theirs = stock.run(&arguments);
        let ours = meaning(cli::parse(&arguments));
        (theirs != ours).then(|| format!("{line}: stock {theirs}, ours {ours}"))
    });
    wrong.collect()
}

/// The result that should be visible from outside.
fn meaning(command: Result<Command, Usage>) -> String {
    match command {
        Ok(Command::Run(_)) => "run",
        Ok(Command::Test { dump: false, .. }) => "test",
        Ok(Command::Test { dump: true, .. }) => "dump",
        Ok(Command::Describe { topic: Topic::Version, .. }) => "version",
        Ok(Command::Describe { topic: Topic::Info, .. }) => "info",
        Ok(Command::Describe { topic: Topic::Modules, .. }) => "modules",
        Ok(Command::Convert { .. }) => "convert",
        Ok(Command::Help) => "help",
        Ok(Command::Role { .. } | Command::Hello) => "role",
        Ok(Command::Control { .. }) => "control",
        Ok(Command::Health { .. }) => "health",
        Ok(Command::Top { .. }) => "top",
        Ok(Command::Caches { .. }) => "caches",
        Err(Usage) => "usage",
    }
    .to_owned()
}
