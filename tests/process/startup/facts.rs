//! The state of a process, fact by fact, so that two processes can be compared.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use testkit::process::Process;

/// A fact's name and value.
pub(super) type Facts = Vec<(String, String)>;

/// The kernel's view of a process. `sandbox` is the directory of its server, `master` its supervisor.
pub(super) fn of(process: Process, master: Process, sandbox: &str) -> Facts {
    let mut facts = Facts::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value.replace(sandbox, "{sandbox}")));
    let whose = |id: i32| if id == master.pid { "the master's".to_owned() } else { "the caller's".to_owned() };
    fact("session", whose(process.session()));
    fact("group", whose(process.group()));
    fact("terminal", (process.terminal() != 0).to_string());
    for field in ["Umask", "SigIgn", "SigBlk", "NoNewPrivs", "Seccomp", "CapBnd", "CapAmb", "Speculation_Store_Bypass"]
    {
        fact(field, process.status(field).join(" "));
    }
    // Only ours has the signal by which commands send requests.
    let requests = if process == master { request_signal() } else { 0 };
    fact("heard", format!("{:016x}", heard(process) & !requests));
    fact("nice", process.nice().to_string());
    let read = |file: &str| fs::read(format!("/proc/{}/{file}", process.pid)).unwrap_or_default();
    fact("oom_score_adj", String::from_utf8_lossy(&read("oom_score_adj")).trim().to_owned());
    fact("comm is php-fpm", read("comm").starts_with(b"php-fpm").to_string());
    fact("shows the caller's variables", contains(&read("environ"), b"CGI_FPM_SECRET").to_string());
    fact("in the title", contains(&read("cmdline"), b"CGI_FPM_SECRET").to_string());
    // Its files belong to root if the process is not dumpable.
    let owner = fs::metadata(format!("/proc/{}/environ", process.pid)).map(|m| m.uid());
    let user = process.status("Uid").get(1).cloned();
    fact("dumpable", owner.is_ok_and(|owner| Some(owner.to_string()) == user).to_string());
    let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", process.pid)).unwrap_or_default();
    fact("cwd", link("cwd").display().to_string());
    fact("root", link("root").display().to_string());
    let fds = process.fds();
    for fd in 0..=2 {
        fact(&format!("fd {fd}"), fds.get(&fd).map_or("closed".to_owned(), |to| kind(to)));
    }
    fact("inherits the caller's fd 7", fds.values().any(|to| to == "/dev/zero").to_string());
    for line in process.lines("limits", "Max ") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with(|c: char| c.is_ascii_digit()) || *word == "unlimited");
        let (name, values) = words.split_at(at.unwrap_or(words.len()));
        fact(&name.join(" "), values.join(" "));
    }
    facts
}

/// The signal by which commands send requests to the supervisor, as a mask.
fn request_signal() -> u64 {
    1 << libc::SIGRTMIN()
}

/// Whether commands can send requests to it.
pub(super) fn hears_requests(process: Process) -> bool {
    heard(process) & request_signal() != 0
}

/// Signals that it acts on: by handlers, or, if blocked, through a descriptor.
fn heard(process: Process) -> u64 {
    let caught = process.status("SigCgt").concat();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
    let descriptors = process.fds().into_keys();
    let masks = descriptors.flat_map(|fd| process.lines(&format!("fdinfo/{fd}"), "sigmask:"));
    masks.fold(number(&caught), |all, line| all | line.split_whitespace().nth(1).map_or(0, number))
}

fn kind(target: &str) -> String {
    match target.split_once(':') {
        Some((kind @ ("pipe" | "socket"), _)) => kind.to_owned(),
        _ if target.starts_with("/dev/pts/") => "terminal".to_owned(),
        _ => target.to_owned(),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
