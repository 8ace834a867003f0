//! The page as a whole.

use base64::Engine as _;
use sha2::Digest as _;

use super::*;
use crate::overview::{Reloads, Running, Slot, SlotState};

const HOSTILE: &str = "\"'><img src=x onerror=alert(1)></script><script>{name}{!script}";

/// Everything in it is hostile.
fn hostile() -> Overview {
    let text = serde_json::to_string(HOSTILE).unwrap();
    let pool = format!(
        r#""name":{text},"group":{text},"address":{text},"manager":{text},"generation":4,"phase":"draining","severity":"warning",
        "diagnosis":{text},"workers":{{"busy":4000000000,"idle":3,"starting":0,"draining":0,"limit":9000000000,"wanted":7}},
        "queue":{{"waiting":4000000000,"limit":511}},"requests":{{"total":1,"per_second":8.3,"by_class":{{"2xx":1,"5xx":1}},
        "error_share":0.5}},"duration":{{"p50":0.004,"p95":0.1,"p99":0.4}},"wait":null,"cpu":0.35,"slow":1,"lost":0,"limit_reached":2,
        "exits":{{"crash":1}},"memory_peak":2097152,"history":[8.1,8.3]"#
    );
    let all = format!(
        r#"{{"state":"reloading","reason":{text},"severity":"critical","diagnosis":{text},"now":1796100000.1,"started":1796090000,
        "version":{text},"php":{text},"window_seconds":10.0,"reloads":{{"success":3,"partial":0,"failure":0,"last":1796095000,
        "last_successful":false}},"dropped":{{"log_lines":1,"output_bytes":1}},"shows_requests":true,"pools":[{{{pool}}}],
        "events":[{{"at":1796095000.1,"kind":"exit","severity":"ok","pool":{text},"text":{text}}}]}}"#
    );
    serde_json::from_str(&all).unwrap()
}

/// The pool of it with a worker and a request.
fn detail() -> PoolDetail {
    let pool = hostile().pools.remove(0);
    let slots = vec![Slot { pid: 1234, state: SlotState::Idle, since: 1.0, requests: 12, ..Slot::default() }];
    let [method, uri, script] = [HOSTILE, HOSTILE, "/x\u{202e}gnp"].map(str::to_owned);
    let running =
        Running { pid: 1240, seconds: 2.1, method, uri, script, id: Some(HOSTILE.to_owned()), ..Running::default() };
    PoolDetail { pool, slots, slots_left_out: 2000, running: Some(vec![running]) }
}

/// All pages.
fn pages() -> [String; 2] {
    [overview(&hostile()), pool(&detail(), 0.0)]
}

/// The tags of a page without its style and script, with what stands before each.
fn tags(page: &str) -> Vec<(&str, &str)> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        tags.push((before, tag));
        rest = match tag {
            "style" | "script" => &after[after.find("</").unwrap()..],
            _ => after,
        };
    }
    tags
}

#[test]
fn elements_are_closed_in_their_order() {
    for page in pages() {
        let mut open = Vec::new();
        for (_, tag) in tags(&page) {
            let name = tag.split_ascii_whitespace().next().unwrap();
            match name.strip_prefix('/') {
                Some(end) => assert_eq!(open.pop(), Some(end), "{tag}"),
                None if ["!DOCTYPE", "meta", "link"].contains(&name) || tag.ends_with('/') => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let once: std::collections::BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(once.len(), ids.len(), "{ids:?}");
    }
}

#[test]
fn nothing_hostile_becomes_markup() {
    for page in pages() {
        let known = [
            "abbr", "b", "bdi", "body", "button", "caption", "details", "summary", "small", "footer", "header", "main",
        ];
        for (_, tag) in tags(&page) {
            let outside = tag.split('"').step_by(2).collect::<String>();
            assert!(!outside.contains("style=") && !outside.contains(" on") && !tag.starts_with("img"), "<{tag}>");
            // Attributes are between double quotes, and only there may be something of a value.
            assert!(!outside.contains(['\'', '{', '(']), "<{tag}>");
        }
        assert!(tags(&page).iter().any(|(_, tag)| known.contains(tag)));
        assert!(
            page.matches("<script>").count() == 1 && page.matches("&lt;script&gt;{name}{!script}").count() > 3,
            "{page}"
        );
    }
}

#[test]
fn the_policy_allows_the_style_and_the_script_that_are_served() {
    for page in pages() {
        for element in ["style", "script"] {
            let start = page.find(&format!("<{element}>")).unwrap() + element.len() + 2;
            let inside = &page[start..start + page[start..].find(&format!("</{element}>")).unwrap()];
            let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(inside));
            assert!(HEADERS.contains(&format!("{element}-src 'sha256-{hash}'")), "{element}: {HEADERS}");
        }
    }
    assert!(HEADERS.contains("default-src 'none'") && !HEADERS.contains("unsafe"), "{HEADERS}");
}

#[test]
fn the_fixed_parts_are_small() {
    for main in [OVERVIEW, POOL] {
        let size = FRAME.len() + STYLE.len() + SCRIPT.len() + main.len();
        assert!(size < 40 << 10, "{size}");
    }
}

#[test]
fn it_says_so_without_a_script() {
    let page = overview(&hostile());
    for wanted in [
        "<title>critical: php-fpm, reloading</title>",
        "<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>",
        "<span>4\u{202f}000\u{202f}000\u{202f}000 of 9\u{202f}000\u{202f}000\u{202f}000</span>",
        "<td role=\"cell\" data-label=\"p95\">100\u{202f}ms</td>",
        "<time datetime=\"2026-12-01T03:16:40Z\">2026-12-01 03:16:40</time>",
        " ago, not successful</span>",
        "<b>Last reload:</b> ",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let link = "href=\"pools/%22'%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    assert!(page.contains(link), "{page}");
    let calm = Overview { reloads: Reloads::default(), ..hostile() };
    assert!(overview(&calm).contains("<span>no reload yet</span>"));
    let page = pool(&detail(), 0.0);
    assert!(page.contains("<small>a signal such as SIGSEGV</small></th><td class=\"bad\">1</td>"), "{page}");
    assert!(page.contains("title=\"slot 0, process 1234: idle for 1.0\u{202f}s, 12 requests\""), "{page}");
    assert!(
        page.contains("<small><bdi>/x\u{fffd}gnp</bdi></small>") && page.contains("and 2\u{202f}000 more workers"),
        "{page}"
    );
    let page = pool(&PoolDetail { running: None, ..detail() }, 0.0);
    assert!(page.contains("monitor.show_requests = yes shows them here"), "{page}");
}
