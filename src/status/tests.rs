//! The pages, on one example that has a hostile client in it.
use super::*;
use crate::request::Stage;

fn pool() -> Snapshot {
    let process = Process {
        pid: 7,
        stage: Stage::Running,
        started: 1000,
        requests: 3,
        duration: 1500,
        method: b"GET".to_vec(),
        uri: b"/a<b>.php".to_vec(),
        query: b"x=\"&y".to_vec(),
        user: b"\"},{".to_vec(),
        script: b"/www/a.php".to_vec(),
        content_length: 0,
        cpu: 0.0,
        memory: 0,
    };
    Snapshot {
        pool: "www".to_owned(),
        manager: "static",
        now: 1060,
        started: 1000,
        requests: 3,
        queue_limit: 128,
        active: 1,
        active_max: 1,
        processes: vec![process],
        ..Snapshot::default()
    }
}

fn shown(query: &str) -> String {
    let date = |at: u64| format!("<{at}>");
    String::from_utf8(render(&pool(), PageOptions::of(query.as_bytes()), &date)).unwrap()
}

#[test]
fn the_query_names_format_and_length() {
    let options = |query: &str| PageOptions::of(query.as_bytes());
    assert_eq!(options(""), PageOptions { format: Format::Text, full: false });
    assert_eq!(options("json&full"), PageOptions { format: Format::Json, full: true });
    assert_eq!(options("full=1&openmetrics="), PageOptions { format: Format::OpenMetrics, full: true });
    assert_eq!(options("js%6Fn&+%20full[]=1"), PageOptions { format: Format::Json, full: true });
    for plain in ["js%6gn", "json%", "json%2", "%+6json", "json ", "[json", "JSON", "a=json&x[full]"] {
        assert_eq!(options(plain), PageOptions { format: Format::Text, full: false }, "{plain}");
    }
    assert_eq!(options("json&html").format, Format::Html);
    assert_eq!(options("jsonp").format, Format::Text);
}

#[test]
fn text_is_columns_of_names_and_values() {
    assert!(
        shown("")
            .starts_with("pool:                 www\nprocess manager:      static\nstart time:           <1000>\n")
    );
    assert!(shown("").ends_with("max children reached: 0\nslow requests:        0\n"));
    assert!(
        shown("full")
            .contains("\n\n************************\npid:                  7\nstate:                Running\n")
    );
    assert!(shown("full").contains("request URI:          /a<b>.php?x=\"&y\n"));
}

#[test]
fn json_can_be_read_whatever_a_client_sends() {
    let json: serde_json::Value = serde_json::from_str(&shown("json&full")).unwrap();
    assert_eq!(json["start time"], 1000);
    assert_eq!(json["start since"], 60);
    assert_eq!(json["processes"][0]["user"], "\"},{");
    assert_eq!(json["processes"][0]["request uri"], "/a<b>.php?x=\"&y");
    assert_eq!(json["processes"].as_array().unwrap().len(), 1);
    assert!(json.get("memory peak").is_none());
}

#[test]
fn markup_has_no_foreign_tags() {
    for query in ["html&full", "xml&full"] {
        let page = shown(query);
        assert!(page.contains("/a&lt;b&gt;.php?x=&quot;&amp;y"), "{page}");
        assert!(!page.contains("a<b>"), "{page}");
    }
    assert!(shown("xml").contains("<process-manager>static</process-manager>\n<start-time>1000</start-time>\n"));
    assert!(shown("html").ends_with("</table>\n</body></html>"));
}

#[test]
fn openmetrics_ends_as_it_should() {
    let page = shown("openmetrics&full");
    assert!(page.ends_with("phpfpm_slow_requests 0\n# EOF\n"), "{page}");
    assert!(page.contains("phpfpm_listen_queue_length 128\n"));
}

#[test]
fn what_is_ours_is_told_where_there_is_any() {
    for query in ["", "html", "xml", "json", "openmetrics"] {
        let page = |pool: &Snapshot| render(pool, PageOptions::of(query.as_bytes()), &|at| at.to_string());
        let text = |pool: &Snapshot| String::from_utf8(page(pool)).unwrap().replace(['-', '_'], " ");
        assert!(!text(&pool()).contains("incomplete") && !text(&pool()).contains("abandoned"));
        let seen = text(&Snapshot { incomplete: 77, abandoned: 88, ..pool() });
        for told in ["incomplete forms", "77", "abandoned requests", "88"] {
            assert!(seen.contains(told), "{query}: {seen}");
        }
    }
}

#[test]
fn memory_peak_is_told_where_php_fpm_does() {
    let pool = Snapshot { memory_peak: Some(9), ..pool() };
    for query in ["", "html", "xml", "json", "openmetrics"] {
        let page = String::from_utf8(render(&pool, PageOptions::of(query.as_bytes()), &|at| at.to_string())).unwrap();
        assert!(page.contains("memory") && page.contains('9'), "{page}");
    }
}

#[test]
fn the_group_comes_before_the_metrics_of_php_fpm() {
    let group = Group { name: "a\"b\\c\n".to_owned(), php: "8.2.1".to_owned(), generation: 3, outdated: true };
    let pool = Snapshot { group: Some(group), ..pool() };
    let options = PageOptions::of(b"openmetrics");
    let page = String::from_utf8(render(&pool, options, &|_| String::new())).unwrap();
    let info = r#"phpfpm_group_info{group="a\"b\\c\\x0A",php="8.2.1",generation="3"} 1"#;
    let outdated = r#"phpfpm_group_outdated{group="a\"b\\c\\x0A"} 1"#;
    assert!(page.lines().any(|line| line == info) && page.lines().any(|line| line == outdated), "{page}");
    assert!(page.ends_with(&shown("openmetrics")), "{page}");
}
