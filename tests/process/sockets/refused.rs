//! Addresses that cannot be listened on.

use std::fs;
use std::os::unix::fs::symlink;

use testkit::stage::Stage;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

/// An address that cannot be listened on is refused, with php-fpm's line.
#[test]
fn refusals() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let path = stage.sandbox.file("taken.sock");
    let _other = std::os::unix::net::UnixListener::bind(&path)?;
    let unknown = "no-such-user-x";
    let cases = [
        (
            format!("listen = 127.0.0.1:{port}"),
            format!("unable to bind listening socket for address '127.0.0.1:{port}': Address already in use (98)"),
        ),
        (
            format!("listen = {}", path.display()),
            format!("Another FPM instance seems to already listen on {}", path.display()),
        ),
        ("listen = 127.0.0.1:69002".to_owned(), "invalid port value '69002'".to_owned()),
        ("listen = no.such.host.invalid:9000".to_owned(), "getaddrinfo: Name or service not known\n".to_owned()),
        (
            "listen = 192.0.2.1:9000".to_owned(),
            "unable to bind listening socket for address '192.0.2.1:9000': Cannot assign requested address (99)"
                .to_owned(),
        ),
        (format!("listen.owner = {unknown}"), format!("cannot get uid for user '{unknown}'")),
        (format!("listen.acl_users = {unknown}"), format!("cannot get uid for user '{unknown}'")),
        (format!("listen.acl_groups = {unknown}"), format!("cannot get gid for group '{unknown}'")),
    ];
    for (line, reason) in cases {
        stage.sandbox.put("fpm.conf", &format!("{}\n{line}\n", stage.conf))?;
        stage.run(&["-F"])?.expect(78, &[&reason, "FPM initialization failed"])?;
    }
    ensure!(path.exists(), "another's socket was removed");
    Ok(())
}

/// A file in the place of a socket stays if it is not a socket: it may belong to another user, and root would delete
/// it.
#[test]
fn what_is_no_socket_stays() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    let stage = Stage::new(target, 1)?;
    let (file, link) = (stage.sandbox.file("a.file"), stage.sandbox.file("a.link"));
    fs::write(&file, "mine")?;
    symlink("a.file", &link)?;
    for path in [&file, &link] {
        stage.sandbox.put("fpm.conf", &format!("{}\nlisten = {}\n", stage.conf, path.display()))?;
        let line = format!("address '{}': Address already in use (98)", path.display());
        stage.run(&["-F"])?.expect(78, &[&line])?;
    }
    ensure!(fs::read_to_string(&link)? == "mine", "it was changed");
    Ok(())
}
