//! Memory that PHP shares between processes, in zygotes that are forked from a base zygote: each group has its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use testkit::clock::{ms, wait_until};
use testkit::extension;
use testkit::process::Process;
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::target::{Door, Target, as_root};
use testkit::{Outcome, ensure, say, turn};

use super::{FIRST, ask, base, start};

/// In kB. It is 330 with PHP 8.2, and 530 if the worker returns nothing.
const MOST_CHANGED: u64 = 430;

/// Like apcu: an extension that maps memory when it is loaded, for all processes that will be forked.
const STORE: &str = r#"
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <sys/syscall.h>
#include "php.h"
static volatile int64_t *store;
PHP_MINIT_FUNCTION(store) {
    int file = FILE_OR_NOT;
    if (file >= 0 && ftruncate(file, 8192) != 0) return FAILURE;
    store = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | (file < 0 ? MAP_ANONYMOUS : 0), file, 0);
    if (file >= 0) close(file);
    store[1] = 42;
    return store == MAP_FAILED ? FAILURE : SUCCESS;
}
ZEND_BEGIN_ARG_INFO_EX(args, 0, 0, 0)
ZEND_ARG_INFO(0, value)
ZEND_END_ARG_INFO()
PHP_FUNCTION(store) {
    zend_long value = 0;
    if (ZEND_NUM_ARGS() && zend_parse_parameters(ZEND_NUM_ARGS(), "l", &value) == SUCCESS) store[0] = value;
    RETURN_LONG(store[0] * 1000 + store[1]);
}
static const zend_function_entry functions[] = { PHP_FE(store, args) PHP_FE_END };
zend_module_entry store_module_entry = { STANDARD_MODULE_HEADER, "store", functions, PHP_MINIT(store), 0, 0, 0, 0, "1",
    STANDARD_MODULE_PROPERTIES };
ZEND_GET_MODULE(store)
"#;

fn store(target: &Target, sandbox: &Sandbox, file: &str) -> Outcome<PathBuf> {
    let built = extension::build(target, sandbox, "store", &STORE.replace("FILE_OR_NOT", file))?;
    sandbox.put("www/store.php", "<?php echo store(...(($_GET['set'] ?? '') === '' ? [] : [(int) $_GET['set']]));")?;
    Ok(built)
}

/// Memory of extensions is copied for each group with its content, and is shared by the workers of the group only.
#[test]
fn memory_of_extensions_is_the_groups_own() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let extension = store(&target, &sandbox, "-1")?;
    let server = start(&target, sandbox, 4, "", &[&format!("extension = {}", extension.display())])?;
    base(&server)?;
    for group in 0..4 {
        ensure!(ask(&server, group, "store.php")? == "42", "what the base zygote has written is there");
        let own = format!("{}042", group + 5);
        ensure!(ask(&server, group, &format!("store.php?set={}", group + 5))? == own, "written");
    }
    for group in 0..4 {
        let own = format!("{}042", group + 5);
        ensure!(ask(&server, group, "store.php")? == own, "another group has not changed it");
        // The next worker of the group sees it, too.
        let worker = server.workers().into_iter().find(|worker| worker.title() == format!("php-fpm: pool p{group}"));
        let worker = worker.ok_or("no worker")?;
        worker.signal(Signal::SIGKILL);
        wait_until("its end", ms(5000), || !worker.lives())?;
        ensure!(ask(&server, group, "store.php")? == own, "the next worker sees it");
    }
    server.stop()
}

/// An extension that shares memory in another way: each zygote starts PHP itself, and everything works.
#[test]
fn what_cannot_be_copied_is_not_shared() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let extension = store(&target, &sandbox, "syscall(SYS_memfd_create, \"other\", 1)")?;
    let server = start(&target, sandbox, 4, "", &[&format!("extension = {}", extension.display())])?;
    ensure!(server.bases().is_empty(), "it has ended");
    let reason =
        "zygotes start PHP without a base zygote: it shares memory that is not anonymous: /memfd:other (deleted)";
    ensure!(server.log.count(reason) == 1, "{}", server.log.text());
    for group in 0..4 {
        let own = format!("{}042", group + 1);
        ensure!(ask(&server, group, &format!("store.php?set={}", group + 1))? == own, "group {group}");
    }
    for group in 0..4 {
        ensure!(ask(&server, group, "store.php")? == format!("{}042", group + 1), "group {group}");
    }
    server.stop()
}

/// The areas of shared memory of a process, by the numbers of their files.
fn shared_files(pid: i32) -> Outcome<Vec<String>> {
    let maps = fs::read(format!("/proc/{pid}/maps"))?;
    let maps = String::from_utf8_lossy(&maps).into_owned();
    // Anonymous, or a copy of that of a base zygote.
    let names = ["/dev/zero (deleted)", "/memfd:shared_memory (deleted)"];
    let lines = maps.lines().filter(|line| names.iter().any(|name| line.ends_with(name)));
    Ok(lines.filter_map(|line| line.split_ascii_whitespace().nth(4)).map(str::to_owned).collect())
}

fn is_cached(server: &Server, group: usize, page: &str) -> Outcome<bool> {
    Ok(ask(server, group, &format!("cached.php?of={page}"))? == "yes")
}

/// Scripts that a group has compiled are in its own cache, and a reset empties only that. No area of shared memory is in two groups.
#[test]
fn the_opcode_cache_is_the_groups_own() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let jit = &["opcache.jit_buffer_size = 8M", "opcache.jit = tracing"][..];
    for ini in [&[][..], jit] {
        let sandbox = Sandbox::new()?;
        let ask_cache = "<?php echo opcache_is_script_cached(__DIR__ . '/' . $_GET['of']) ? 'yes' : 'no';";
        sandbox.put("www/cached.php", ask_cache)?;
        sandbox.put("www/reset.php", "<?php echo opcache_reset() ? 'reset' : 'not';")?;
        let server = start(&target, sandbox, 4, "", ini)?;
        base(&server)?;
        for group in 0..4 {
            ensure!(ask(&server, group, "hello.php")? == "hello", "group {group}");
        }
        ask(&server, 0, "work.php?ms=0")?;
        ensure!(is_cached(&server, 0, "work.php")? && !is_cached(&server, 1, "work.php")?, "the others have not");
        ensure!(ask(&server, 0, "reset.php")? == "reset", "reset");
        wait_until("the reset", ms(5000), || {
            let _ = ask(&server, 0, "version.php");
            is_cached(&server, 0, "work.php").is_ok_and(|cached| !cached)
        })?;
        ensure!(is_cached(&server, 1, "hello.php")?, "the cache of another group is as it was");
        let mut areas = Vec::new();
        for group in 0..4 {
            let of_zygote = shared_files(server.zygote_of(&format!("p{group}"))?.pid)?;
            ensure!(!of_zygote.is_empty(), "opcache has no memory");
            let mut distinct = of_zygote;
            distinct.dedup();
            areas.extend(distinct);
        }
        let count = areas.len();
        areas.sort_unstable();
        areas.dedup();
        ensure!(areas.len() == count, "two groups share memory: {areas:?}");
        server.stop()?;
    }
    Ok(())
}

/// Preloaded scripts run as the user of each group, and a file cache works.
#[test]
fn preloading_and_the_file_cache_work() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let preload = sandbox.file("preload.php");
    fs::set_permissions(sandbox.file("out"), PermissionsExt::from_mode(0o1777))?;
    fs::write(&preload, "<?php class Preloaded {} touch(__DIR__ . '/out/uid-' . posix_getuid());")?;
    sandbox.put("www/preloaded.php", "<?php echo class_exists('Preloaded', false) ? 'preloaded' : 'not';")?;
    let server = start(&target, sandbox, 4, "", &[&format!("opcache.preload = {}", preload.display())])?;
    base(&server)?;
    for group in 0..4 {
        ensure!(ask(&server, group, "preloaded.php")? == "preloaded", "group {group}");
    }
    if as_root() {
        let files = fs::read_dir(server.sandbox.file("out"))?.flatten().map(|file| file.file_name());
        let users: BTreeSet<_> = files.filter(|name| name.to_string_lossy().starts_with("uid-")).collect();
        let wanted = (FIRST..FIRST + 4).map(|uid| format!("uid-{uid}").into()).collect();
        ensure!(users == wanted, "preloaded by {users:?} in place of {wanted:?}");
    }
    server.stop()?;
    let sandbox = Sandbox::new()?;
    let cache = sandbox.web_dir("cache")?;
    fs::set_permissions(&cache, PermissionsExt::from_mode(0o1777))?;
    let server = start(&target, sandbox, 4, "", &[&format!("opcache.file_cache = {}", cache.display())])?;
    base(&server)?;
    for group in 0..4 {
        ensure!(ask(&server, group, "hello.php")? == "hello", "group {group}");
    }
    ensure!(fs::read_dir(&cache)?.count() > 0, "it has files");
    server.stop()
}

/// Each group of one user with one worker takes less than half of the memory that it takes if its zygote starts PHP.
#[test]
fn groups_take_little_memory() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    const GROUPS: usize = 20;
    let mut sums = Vec::new();
    for use_of_base in ["yes", "no"] {
        let server = start(&target, Sandbox::new()?, GROUPS, &format!("process.base = {use_of_base}"), &[])?;
        for group in 0..GROUPS {
            ask(&server, group, "hello.php")?;
        }
        // A second after its last work a zygote maps all that it has copied.
        std::thread::sleep(ms(2000));
        let processes = [server.zygotes(), server.workers()].concat();
        let sum: u64 = processes.into_iter().map(Process::pss_kb).sum();
        sums.push(sum / u64::try_from(GROUPS)?);
        server.stop()?;
    }
    say(&format!("{} kB for each group from a base zygote, {} kB without", sums[0], sums[1]));
    // The memory that all groups share counts here as well: a twentieth of it for each.
    ensure!(sums[0] * 2 < sums[1], "{sums:?}");
    ensure!(target.door == Door::Stock || sums[0] < 4300, "{sums:?}");
    Ok(())
}

/// What a group costs apart from its opcode cache: the pages that its worker has changed, after a request and a second of rest.
#[test]
fn a_worker_changes_few_pages() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let server = start(&target, Sandbox::new()?, 4, "", &[])?;
    base(&server)?;
    for group in 0..4 {
        ask(&server, group, "hello.php")?;
    }
    let changed = |worker: &Process| worker.rollup_kb("Private_Dirty");
    let workers = server.workers();
    ensure!(workers.len() == 4, "{} workers", workers.len());
    let most = || workers.iter().filter_map(changed).max().unwrap_or(u64::MAX);
    wait_until("the return of what the request has used", ms(5000), || most() < MOST_CHANGED)
        .map_err(|e| format!("{e}: {} kB", most()))?;
    server.stop()
}
