//! Tests of the results and of their limits.

use super::*;

#[test]
fn a_reload_is_settled_for_all_who_had_asked_when_it_began() {
    let mut writer = ResultsWriter::new().unwrap();
    writer.reload_asked();
    writer.reload_asked();
    writer.reload_begins();
    writer.reload_asked();
    writer.reason("[www] no such user");
    writer.reload_failed("reload refused");
    let CommandResults { reloads_asked, reloads_settled, refusal, .. } = writer.results.clone();
    assert_eq!((reloads_asked, reloads_settled), (3, 2));
    assert_eq!(refusal.as_deref(), Some("[www] no such user\nreload refused"));
    writer.reload_done();
    assert_eq!(writer.results.refusal, refusal, "nothing was under way");
    writer.reload_begins();
    writer.reload_done();
    assert_eq!((writer.results.reloads_settled, writer.results.refusal.as_deref()), (3, None));
}

#[test]
fn however_much_there_is_to_be_said_it_can_be_read() {
    let mut writer = ResultsWriter::new().unwrap();
    writer.reload_asked();
    writer.reload_begins();
    (0..20).for_each(|_| writer.reason(&"\u{1b}".repeat(1000)));
    writer.reload_failed("reload refused");
    writer.reopened(&vec!["\u{1b}".repeat(100); 1000]);
    let read = read(&writer.file).unwrap();
    assert_eq!(read, writer.results);
    assert!(read.refusal.is_some_and(|text| text.ends_with("\n... (the log has more)\nreload refused")));
    let long = joined(&["\u{e4}".repeat(5000)]);
    assert!(long.len() <= 4096 && long.ends_with("\u{e4}\n... (the log has more)"), "{}", long.len());
}

#[test]
fn others_can_read_it_and_a_later_image_goes_on_with_it() {
    let mut writer = ResultsWriter::new().unwrap();
    writer.reopened(&["no directory".to_owned()]);
    let path = ResultsReader(format!("/proc/self/fd/{}", writer.number()).into());
    let read = path.read().unwrap();
    assert_eq!((read.reopened, read.not_reopened.as_deref()), (1, Some("no directory")));
    assert!(ResultsReader::find(Pid::this()).is_some());
    let mut later = ResultsWriter::adopt(writer.file.try_clone().unwrap().into());
    later.reopened(&[]);
    assert_eq!(path.read().map(|results| (results.reopened, results.not_reopened)), Some((2, None)));
}

fn settled(writer: &mut ResultsWriter, failed: usize, reason: &str) -> CommandResults {
    writer.reload_asked();
    writer.reload_begins();
    writer.reload_renews(600);
    (0..failed).for_each(|n| writer.group_failed(&format!("customer{n}"), reason));
    writer.reload_done();
    let read = read(&writer.file).unwrap();
    assert_eq!(read, writer.results);
    read
}

#[test]
fn all_groups_that_failed_are_named_however_long_the_reasons_are() {
    let mut writer = ResultsWriter::new().unwrap();
    let two = settled(&mut writer, 2, "no such user\nsecond line\x1b");
    assert_eq!(two.failed[1].reason, r"no such user | second line\x1B");
    let lines = "failed: 2 of 600 groups keep what they had:\n[customer0] no such user | second line";
    assert!(two.refusal.as_ref().is_some_and(|text| text.starts_with(lines)), "{two:?}");
    for long in ["\"".repeat(5000), "ä\u{9b}\n".repeat(2000)] {
        let all = settled(&mut writer, 600, &long);
        assert_eq!((all.failures, all.failed.len()), (600, 600));
        assert!(all.failed.iter().all(|failure| failure.reason.len() > 70), "{}", all.failed[0].reason);
        assert_eq!(all.failed[599].group, "customer599");
    }
    let text = serde_json::to_vec(&settled(&mut writer, 3_000, "no such user")).unwrap();
    assert!(text.len() < usize::try_from(MOST).unwrap() && writer.results.failures == 3_000);
    let none = settled(&mut writer, 0, "");
    assert_eq!((none.failures, none.failed.len(), none.refusal), (0, 0, None));
}

#[test]
fn a_reload_that_goes_on_can_be_seen() {
    let mut writer = ResultsWriter::new().unwrap();
    writer.reload_asked();
    writer.reload_begins();
    let begun = writer.results.progress;
    writer.progress();
    writer.group_done("a");
    writer.group_late("b");
    writer.group_late("c");
    writer.reload_done();
    assert!(writer.results.progress > begun + 4, "{:?}", writer.results);
    let mut writer = ResultsWriter::adopt(writer.file.try_clone().unwrap().into());
    assert_eq!((writer.results.done, &writer.results.late[..]), (1, &["b".to_owned(), "c".to_owned()][..]));
    writer.group_done("b");
    writer.group_failed("c", "no memory");
    assert_eq!((writer.results.done, writer.results.late.len(), writer.results.failures), (2, 0, 1));
}

#[test]
fn the_first_and_the_last_reasons_are_kept() {
    let mut writer = ResultsWriter::new().unwrap();
    writer.reload_asked();
    writer.reload_begins();
    (0..100).for_each(|n| writer.reason(&format!("reason {n}")));
    writer.reload_failed("reload failed");
    let refusal = writer.results.refusal.unwrap();
    assert!(refusal.starts_with("reason 0\n") && refusal.ends_with("reason 99\nreload failed"), "{refusal}");
    assert!(refusal.contains("\nreason 14\n... (the log has 70 more lines)\nreason 85\n"), "{refusal}");
}

/// As a former version writes and reads them.
#[test]
fn former_versions_are_understood() {
    let former =
        r#"{"reloads_asked":2,"reloads_begun":2,"reloads_settled":1,"refusal":"no","reopened":0,"not_reopened":null}"#;
    let read: CommandResults = serde_json::from_str(former).unwrap();
    assert_eq!((read.reloads_asked, read.refusal.as_deref(), read.progress), (2, Some("no"), 0));
}
