//! Bodies that are cut off between a client and a web server, and subrequests, which have no body.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use testkit::bytes::crc32;
use testkit::clock::{bar, ms};
use testkit::front::{Front, Kind};
use testkit::log::Log;
use testkit::nginx::Nginx;
use testkit::setup::Listen;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use super::{FORM, MULTIPART, Place, bytes, uploads};

/// Subrequests have the method, the type and the length of their main request, but not its body.
#[test]
fn subrequests_of_nginx_run() -> Outcome {
    let Some(target) = Target::find() else { return Ok(()) };
    let _turn = turn::shared()?;
    let place = Place::start(&target, Listen::Unix)?;
    place.server.sandbox.put("www/app.php", "<?php echo 'n=', $_POST['n'] ?? 'none';")?;
    let Address::Unix(socket) = &place.server.address else { return Err("not on a path".into()) };
    let to_php = format!("include /etc/nginx/fastcgi_params; fastcgi_pass unix:{};", socket.display());
    let nginx = Nginx::start_with(|listen| {
        format!(
            "server {{ listen {listen}; root {};
                location / {{ {to_php} fastcgi_param SCRIPT_FILENAME $document_root/app.php; }}
                location /checked/ {{ auth_request /notes; {to_php} fastcgi_param SCRIPT_FILENAME $document_root/app.php; }}
                location /mirrored/ {{ mirror /notes; mirror_request_body off; {to_php} fastcgi_param SCRIPT_FILENAME $document_root/app.php; }}
                location = /notes {{ internal; fastcgi_pass_request_body off; {to_php} fastcgi_param SCRIPT_FILENAME $document_root/notes.php; }}
            }}",
            place.server.sandbox.file("www").display()
        )
    })?;
    let multipart = b"--edge\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n7\r\n--edge--\r\n";
    for path in ["/checked/", "/mirrored/"] {
        for (type_, body) in [(FORM, &b"n=7"[..]), (MULTIPART, multipart)] {
            let headers = format!("Content-Type: {type_}\r\n");
            let reply = nginx.client(ms(20_000)).send("POST", path, &headers, body)?;
            ensure!(reply.status == 200 && reply.text() == "n=7", "{path}, {type_}: {reply:?} {}", nginx.errors());
            let seen = place
                .noted(&format!("subrequest of {path}, {type_}"))
                .map_err(|e| format!("{e}; {}", nginx.errors()))?;
            let none = json!({"length": 0, "sum": "00000000", "fields": 0, "before": 0, "status": 0, "aborted": 0});
            ensure!(seen == none, "{path}, {type_}: {seen}");
        }
    }
    drop(nginx);
    place.server.stop()
}

/// A client of a web server that closes the connection in the middle of its body.
fn goes(to: SocketAddr, method: &str, type_: &str, came: &[u8]) -> Outcome {
    let mut client = TcpStream::connect_timeout(&to, ms(5000))?;
    client.set_write_timeout(Some(ms(10_000)))?;
    let head = format!(
        "{method} /notes.php HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type_}\r\nContent-Length: 1000000\r\n\r\n"
    );
    client.write_all(&[head.as_bytes(), came].concat())?;
    client.shutdown(std::net::Shutdown::Write)?;
    client.set_read_timeout(Some(ms(1000)))?;
    let _ = client.read(&mut [0; 4096]);
    Ok(())
}

fn through(place: &Place, name: &str, web: SocketAddr) -> Outcome {
    let access = Log::new(&place.server.sandbox.file("access.log"));
    for (type_, came) in [(FORM, [&b"amount=1000&note="[..], &bytes(200_000)].concat()), (MULTIPART, uploads(200_000))]
    {
        let mark = access.mark();
        goes(web, "POST", type_, &came)?;
        access
            .wait_for(mark, &["POST /notes.php 400 1000000\n"], bar(ms(10_000)))
            .map_err(|e| format!("{name}: {e}"))?;
        place.settle()?;
        ensure!(place.notes()?.is_none(), "{name}, {type_}: the script has run");
        ensure!(place.left() == 0, "{name}, {type_}: files are left");
    }
    for method in ["POST", "PUT"] {
        let came = bytes(200_000);
        goes(web, method, "application/octet-stream", &came)?;
        let seen = place.noted(&format!("{name}, {method}"))?;
        let length = usize::try_from(seen["length"].as_u64().unwrap_or(0))?;
        ensure!(length > 32_768 && seen["status"] == 1, "{name}, {method}: {seen}");
        ensure!(seen["sum"] == crc32(&came[..length]), "{name}, {method}: other bytes: {seen}");
        place.settle()?;
    }
    Ok(())
}

#[test]
fn through_nginx_without_its_buffer() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for keep in ["off", "on"] {
        let place = Place::start(&target, Listen::Unix)?;
        let Address::Unix(socket) = &place.server.address else { return Err("not on a path".into()) };
        let at = Cell::new(None);
        let nginx = Nginx::start_with(|listen| {
            at.set(Some(listen));
            format!(
                "upstream pool {{ server unix:{}; keepalive 2; }} server {{ listen {listen}; root {}; client_max_body_size 32m; location / {{
                    fastcgi_request_buffering off; fastcgi_keep_conn {keep}; include /etc/nginx/fastcgi_params;
                    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass pool;
                }} }}",
                socket.display(),
                place.server.sandbox.file("www").display()
            )
        })?;
        through(&place, &format!("nginx, keep_conn {keep}"), at.get().ok_or("nginx doesn't listen")?)?;
        drop(nginx);
        place.server.stop()?;
    }
    Ok(())
}

#[test]
fn through_apache() -> Outcome {
    let Some(target) = Target::find_ours() else { return Ok(()) };
    let _turn = turn::shared()?;
    for kind in [Kind::ApacheHandler, Kind::ApacheMatch] {
        let place = Place::start(&target, Listen::Unix)?;
        let front = Front::start(kind, &place.server.sandbox.file("www"), &place.server.address)?;
        through(&place, &format!("{kind:?}"), front.address())?;
        drop(front);
        place.server.stop()?;
    }
    Ok(())
}
