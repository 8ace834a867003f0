//! PHP's shared memory under a zygote: one opcode cache for all workers of a group, preloading, the JIT; and
//! extensions with memory or state of their own.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testkit::around::Around;
use testkit::clock::ms;
use testkit::fastcgi::{Client, Request, ask_once};
use testkit::load::{Job, Plan};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Door, Target, web_user};
use testkit::{Outcome, ensure, say, skip, turn};

/// A worker's view of the cache, and its identity. It runs `counted.php` first.
const STATUS: &str = "<?php include __DIR__ . '/counted.php'; usleep(200000); $s = opcache_get_status();
    $counted = $s['scripts'][realpath(__DIR__ . '/counted.php')] ?? ['hits' => -1];
    echo json_encode(['pid' => getmypid(), 'started' => $s['opcache_statistics']['start_time'],
        'misses' => $s['opcache_statistics']['misses'], 'hits' => $counted['hits'],
        'jit' => $s['jit']['on'] ?? false, 'preloaded' => $s['preload_statistics'] ?? null, 'user' => posix_geteuid()]);";

fn read(text: &str) -> Outcome<Value> {
    serde_json::from_str(text).map_err(|e| format!("{e}: {text:.500}").into())
}

/// Enough concurrent requests that each worker gets one.
fn from_all_workers(address: &Address, page: &Path, workers: usize) -> Outcome<Vec<Value>> {
    let mut clients = Vec::new();
    for _ in 0..workers {
        let mut client = Client::connect(address, ms(10_000))?;
        client.send(&Request::get(page).encode(1))?;
        clients.push(client);
    }
    clients.iter_mut().map(|client| read(&client.answer()?.body())).collect()
}

fn pids(seen: &[Value]) -> BTreeSet<i64> {
    seen.iter().filter_map(|one| one["pid"].as_i64()).collect()
}

fn prepared() -> Outcome<Sandbox> {
    let sandbox = Sandbox::new()?;
    sandbox.put("www/status.php", STATUS)?;
    sandbox.put("www/counted.php", "<?php return 7;")?;
    Ok(sandbox)
}

/// A script that one worker has compiled is available to all workers of its group, in both pools, which also share
/// the count of hits. A pool of another group has its own cache.
#[test]
fn one_cache_for_a_group() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let sandbox = prepared()?;
    let [beside, apart] = ["beside", "apart"].map(|name| Address::Unix(sandbox.file(&format!("{name}.sock"))));
    let mut setup = Setup::new(4);
    for (name, group) in [("beside", None), ("apart", Some("elsewhere"))] {
        let socket = sandbox.file(&format!("{name}.sock"));
        setup = setup.pool(&format!("[{name}]\nlisten = {}\npm = static\npm.max_children = 2", socket.display()));
        if let Some(user) = web_user() {
            setup = setup.pool(&format!("user = {user}\ngroup = {user}"));
        }
        setup = group.iter().fold(setup, |setup, group| setup.pool(&format!("process.group = {group}")));
    }
    let server = Server::start_in(sandbox, &target, &setup)?;
    let page = server.sandbox.page("status.php");
    let first = read(&ask_once(&server.address, &Request::get(&page), ms(10_000))?)?;
    let again = from_all_workers(&server.address, &page, 4)?;
    ensure!(pids(&again).len() == 4, "not all workers: {again:?}");
    let others = from_all_workers(&beside, &page, 2)?;
    let all = [again, others].concat();
    ensure!(all.iter().all(|one| one["started"] == first["started"]), "several caches: {first} {all:?}");
    ensure!(all.iter().all(|one| one["misses"] == first["misses"]), "compiled more than once: {first} {all:?}");
    // Each of the six workers has included it before it looks. opcache counts without a lock (`ZCSG(hits)++`), so one of
    // two hits at the same time may be lost; but the workers of a pool of its own would see one hit each.
    let hits = |of: &Value| of["hits"].as_i64().unwrap_or(-1);
    let most = all.iter().map(hits).max().unwrap_or(-1) - hits(&first);
    ensure!(hits(&first) >= 0 && (3..=6).contains(&most), "first {first}, then {all:?}");
    let elsewhere = from_all_workers(&apart, &page, 2)?;
    let most_there = elsewhere.iter().map(hits).max().unwrap_or(-1);
    ensure!(most_there < 2, "the other group shares hits: {elsewhere:?}");
    server.stop()
}

/// Each worker has the code that `opcache.preload` loads, and it belongs to the pool's user, with or without
/// `preload_user`.
#[test]
fn preloading() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    for preload_user in [None, web_user()] {
        let sandbox = prepared()?;
        sandbox.put(
            "www/classes.php",
            "<?php class Early { const BY = 'nobody'; static function by() { return 'preload'; } }",
        )?;
        let who = sandbox.web_dir("who")?.join("who");
        let preload =
            format!("<?php require __DIR__ . '/classes.php'; file_put_contents('{}', posix_geteuid());", who.display());
        sandbox.put("www/preload.php", &preload)?;
        sandbox.put(
            "www/early.php",
            "<?php usleep(200000); echo json_encode(['pid' => getmypid(), 'by' => Early::by()]);",
        )?;
        let mut setup = Setup::new(3).ini(&format!("opcache.preload = {}", sandbox.page("preload.php").display()));
        setup = preload_user.iter().fold(setup, |setup, user| setup.ini(&format!("opcache.preload_user = {user}")));
        let server = Server::start_in(sandbox, &target, &setup)?;
        let seen = from_all_workers(&server.address, &server.sandbox.page("early.php"), 3)?;
        ensure!(pids(&seen).len() == 3 && seen.iter().all(|one| one["by"] == "preload"), "{seen:?}");
        let status = read(&ask_once(&server.address, &Request::get(&server.sandbox.page("status.php")), ms(10_000))?)?;
        let classes = status["preloaded"]["classes"].as_array();
        ensure!(classes.is_some_and(|classes| classes.contains(&"Early".into())), "{status}");
        let loader = std::fs::read_to_string(&who)?;
        ensure!(loader.trim().parse().ok() == status["user"].as_u64(), "preloaded by {loader}, {status}");
        // A change becomes visible after a reload.
        server.sandbox.put("www/classes.php", "<?php class Early { static function by() { return 'next'; } }")?;
        server.reload()?;
        let seen = from_all_workers(&server.address, &server.sandbox.page("early.php"), 3)?;
        ensure!(seen.iter().all(|one| one["by"] == "next"), "after a reload: {seen:?}");
        server.stop()?;
    }
    Ok(())
}

/// Runs enough rounds in each worker for the JIT to compile.
const ROUNDS: &str = "<?php function f($n) { $s = 0; for ($i = 0; $i < $n; $i++) { $s = ($s * 31 + $i) % 1000003; } return $s; }
    $r = 0; for ($k = 0; $k < 200; $k++) { $r = f(2000 + $k); } usleep(100000); $s = opcache_get_status()['jit'];
    echo json_encode(['pid' => getmypid(), 'on' => $s['on'], 'used' => $s['buffer_size'] - $s['buffer_free'], 'result' => $r]);";

#[test]
fn just_in_time() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::alone()?;
    let expected = (0..2199_u64).fold(0, |s, i| (s * 31 + i) % 1_000_003);
    for mode in ["tracing", "function"] {
        let sandbox = prepared()?;
        sandbox.put("www/rounds.php", ROUNDS)?;
        let setup = Setup::new(3).ini("opcache.jit_buffer_size = 16M");
        // Debian's conf.d disables it after every php.ini.
        let setup = if target.opcache_by_hand() {
            setup.ini(&format!("opcache.jit = {mode}"))
        } else {
            setup.pool(&format!("php_admin_value[opcache.jit] = {mode}"))
        };
        let server = Server::start_in(sandbox, &target, &setup)?;
        let page = server.sandbox.page("rounds.php");
        let load = Plan::clients(4).requests(40).start(|_| {
            let (address, page) = (server.address.clone(), page.clone());
            Box::new(move || {
                let seen = read(&ask_once(&address, &Request::get(&page), ms(10_000))?)?;
                ensure!(seen["result"] == expected && seen["on"] == true, "{seen}, not {expected}");
                Ok(())
            })
        });
        load.finish().expect_no_failure()?;
        let seen = from_all_workers(&server.address, &page, 3)?;
        ensure!(pids(&seen).len() == 3 && seen.iter().all(|one| one["used"].as_i64() > Some(0)), "{mode}: {seen:?}");
        server.reload()?;
        let seen = from_all_workers(&server.address, &page, 3)?;
        ensure!(seen.iter().all(|one| one["result"] == expected), "{mode} after a reload: {seen:?}");
        server.stop()?;
    }
    Ok(())
}

/// Debian's extensions through the stock door: each one is loaded and works in several workers, and 20 reloads under
/// load lose no request.
#[test]
fn debians_extensions() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    if target.door != Door::Stock || target.host_in(&target.prefix) != Path::new("/usr/bin/php-cgi8.2") {
        skip("they are Debian's php-cgi8.2's (CGI_FPM_DOOR=stock)");
        return Ok(());
    }
    let Some(dir) = std::env::var("CGI_FPM_EXTENSIONS").ok().filter(|dir| !dir.is_empty()) else {
        skip("CGI_FPM_EXTENSIONS isn't set (build-aux/fetch-extensions.sh prints it)");
        return Ok(());
    };
    let _turn = turn::alone()?;
    for (name, needs, check) in EXTENSIONS {
        let tally = with_extension(&target, &dir, name, needs, check).map_err(|e| format!("{name}: {e}"))?;
        say(&format!("20 reloads; {tally}"));
    }
    Ok(())
}

/// Name, its prerequisites, and an expression that is true if it works.
const EXTENSIONS: [(&str, &[&str], &str); 4] = [
    // Its own shared memory: one worker stores a value, and another one finds it.
    ("apcu", &[], "apcu_enabled() && apcu_inc('n') !== false && (apcu_add('v', 7) || apcu_fetch('v') === 7)"),
    ("xdebug", &[], "xdebug_info('mode') === ['develop'] && is_int(xdebug_memory_usage())"),
    ("redis", &["igbinary"], "class_exists('Redis') && (new Redis())->isConnected() === false"),
    ("memcached", &["igbinary", "msgpack"], "(new Memcached('kept'))->addServer('127.0.0.1', 1)"),
];

fn with_extension(target: &Target, dir: &str, name: &str, needs: &[&str], check: &str) -> Outcome<String> {
    let sandbox = Sandbox::new()?;
    let page = format!(
        "<?php usleep(2000); echo json_encode(['pid' => getmypid(), 'loaded' => extension_loaded('{name}'), 'works' => {check}]);"
    );
    sandbox.put("www/extension.php", &page)?;
    let mut setup = Setup::new(3);
    for library in needs {
        setup = setup.ini(&format!("extension = {dir}/{library}.so"));
    }
    let kind = if name == "xdebug" { "zend_extension" } else { "extension" };
    let around = Around { environment: vec![("LD_LIBRARY_PATH".to_owned(), dir.to_owned())], ..Around::default() };
    let setup = setup.ini(&format!("{kind} = {dir}/{name}.so"));
    let server = Server::start_amid(around, Address::Unix(sandbox.file("fpm.sock")), sandbox, target, &setup)?;
    let load = Plan::clients(4).start(|number| asker(&server, number % 2 == 0));
    for _ in 0..20 {
        server.reload()?;
    }
    let tally = load.stop();
    tally.expect_no_failure()?;
    server.stop()?;
    Ok(tally.summary())
}

/// Asks for hello, or whether the extension works.
fn asker(server: &Server, hello: bool) -> Job {
    let (address, hello_page) = (server.address.clone(), server.sandbox.page("hello.php"));
    let page = server.sandbox.page("extension.php");
    Box::new(move || {
        if hello {
            let text = ask_once(&address, &Request::get(&hello_page), ms(10_000))?;
            ensure!(text == "hello", "{text:.200}");
            return Ok(());
        }
        let seen = read(&ask_once(&address, &Request::get(&page), ms(10_000))?)?;
        ensure!(seen["loaded"] == true && seen["works"] == true, "{seen}");
        Ok(())
    })
}

/// Pools of one user with different root directories have files of the same names, and caches of their own.
#[test]
fn pools_in_different_roots_share_no_code() -> Outcome {
    let Some(target) = Target::find_ours_as_root() else { return Ok(()) };
    let _turn = turn::shared()?;
    let sandbox = Sandbox::new()?;
    let mut setup = Setup::new(1).ini("opcache.validate_timestamps = 0");
    for name in ["one", "two"] {
        std::fs::create_dir(sandbox.file(&format!("www/{name}")))?;
        sandbox.put(&format!("www/{name}/who.php"), &format!("<?php echo '{name}';"))?;
        let (socket, root) = (sandbox.file(&format!("{name}.sock")), sandbox.file(&format!("www/{name}")));
        setup = setup.pool(&format!(
            "[{name}]\nuser = www-data\nlisten = {}\nlisten.mode = 0666\npm = static\npm.max_children = 1\nchroot = {}",
            socket.display(),
            root.display()
        ));
    }
    let server = Server::start_in(sandbox, &target, &setup)?;
    for name in ["one", "two", "one"] {
        let address = Address::Unix(server.sandbox.file(&format!("{name}.sock")));
        let who = ask_once(&address, &Request::get(Path::new("/who.php")), ms(5000))?;
        ensure!(who == name, "{name} is served the code of {who}");
    }
    server.stop()
}
