//! The reports: the promised shape in the terminal, nothing unescaped in the page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use eval::metrics::bootstrap::Bootstrap;
use eval::report::{Page, html, markdown, terminal, worst};
use eval::{Entry, Log, Options, Reply, Summary, threshold};
use scene::{MetaAction, Plan};
use support::log;

const HOSTILE: &str = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\" ' & \u{1b}[31m \u{202e}";

fn summary(log: &Log, blind: Option<&Log>) -> Summary {
    Summary::of(log, Options { blind, bootstrap: Bootstrap { seed: 1, resamples: 200 }, ..Options::default() })
}

fn constant(n: usize) -> Log {
    log(n, |e| {
        e.replies = vec![Reply::read(Plan { reasoning: String::new(), action: MetaAction::KEEP_STRAIGHT }.render(true))]
    })
}

fn page<'a>(log: &'a Log, picture: &'a dyn Fn(&Entry) -> Option<Vec<u8>>) -> Page<'a> {
    Page { title: "runs/a on val.jsonl", log, picture, cards: 24, checks: &[] }
}

#[test]
fn the_terminal_table_has_its_rows_and_columns() {
    let own = log(300, |_| ());
    let text = terminal(&summary(&own, Some(&constant(300))), Some("report.html"));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("samples 300  parse failures "), "{text}");
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>().join(" "), "joint speed F1 (macro) path F1 (macro)");
    for (line, name) in
        lines[3..7].iter().zip(["this model", "  without the image", "ego speed only", "majority KEEP,STRAIGHT"])
    {
        assert!(line.starts_with(name), "{text}");
    }
    assert!(
        lines[3].matches('±').count() == 3 && lines[4].ends_with("<- it does look") && !lines[6].contains('±'),
        "{text}"
    );
    // Columns start under their heads.
    let at = |line: &str, word: &str| line.find(word).map(|b| line[..b].chars().count());
    let joint = at(lines[2], "joint").unwrap();
    assert!(lines[3..7].iter().all(|l| l.chars().nth(joint).unwrap().is_ascii_digit()), "{text}");
    assert!(text.contains("hardest: ") && text.contains("See report.html#"), "{text}");
}

#[test]
fn markdown_tables_are_rectangular() {
    let text = markdown(&summary(&log(300, |_| ()), Some(&constant(300))));
    let mut width = 0;
    for line in text.lines() {
        let bars = line.matches('|').count();
        if line.starts_with('|') {
            assert!(width == 0 || bars == width, "{line}");
            width = bars;
        } else {
            width = 0;
        }
    }
    assert!(text.contains("METEOR (exact+stem)") && text.contains("| LEFT_CHANGE |"));
}

#[test]
fn untrusted_text_stays_text() {
    let hostile = log(40, |e| {
        e.id = format!("{}{HOSTILE}", e.id);
        e.command = Some(HOSTILE.into());
        e.replies = vec![Reply::read(HOSTILE), Reply::read("x")];
        if e.seconds > 0.0 && e.id.contains("clip1") {
            let plan = Plan { reasoning: HOSTILE.into(), action: MetaAction::KEEP_STRAIGHT };
            e.replies = vec![Reply::read(plan.render(true))];
        }
        e.probabilities.as_mut().unwrap().speed.insert(HOSTILE.into(), 0.9);
    });
    let text = html(&summary(&hostile, None), Page { title: HOSTILE, ..page(&hostile, &|_| None) });
    assert!(
        !text.contains("<script")
            && !text.contains("<img")
            && !text.contains("onerror=alert(2)>")
            && !text.contains('\u{1b}')
    );
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn pictures_are_inlined_when_they_are_pictures() {
    let own = log(40, |_| ());
    let shown = worst(&own, 24).len();
    let with =
        |bytes: Vec<u8>| html(&summary(&own, None), page(&own, &|_| Some(bytes.clone()))).matches("<img").count();
    assert_eq!(with(vec![0xff, 0xd8, 0xff, 0xe0, 1, 2]), shown);
    assert_eq!(with(b"\x89PNG\r\n\x1a\n".to_vec()), shown);
    assert_eq!(with(b"<svg onload=alert(1)>".to_vec()), 0);
    assert_eq!(with([vec![0xff, 0xd8, 0xff], vec![0; eval::report::MAX_PICTURE_BYTES]].concat()), 0);
}

#[test]
fn the_worst_come_first_and_mistakes_vary() {
    let own = log(300, |_| ());
    let list = worst(&own, 24);
    assert_eq!(list.len(), 24);
    assert!(list[0].replies[0].plan().is_none(), "replies without a plan lead");
    let kinds: std::collections::BTreeSet<String> =
        list.iter().map(|e| format!("{:?} {:?}", e.truth, e.replies[0].plan().map(|p| p.action))).collect();
    assert!(kinds.len() >= 6, "{kinds:?}");
    assert!(worst(&log(5, |e| e.truth = Default::default()), 9).iter().all(|e| e.replies[0].plan().is_none()));
}

#[test]
fn every_class_has_an_anchor_and_limits_show() {
    let own = log(100, |_| ());
    let s = summary(&own, None);
    let checks = threshold::check(&threshold::parse("joint=0,path_f1=1").unwrap(), &s);
    let text = html(&s, Page { checks: &checks, ..page(&own, &|_| None) });
    for label in ["KEEP", "ACCELERATE", "LEFT_TURN", "RIGHT_CHANGE"] {
        assert_eq!(text.matches(&format!("id=\"{label}\"")).count(), 1);
    }
    assert!(text.contains("class=\"pass\"") && text.contains("class=\"fail\""));
}

#[test]
fn empty_logs_have_reports_too() {
    let none = Log::default();
    let s = summary(&none, None);
    assert!(terminal(&s, None).contains("samples 0") && markdown(&s).contains("No sample has a speed label"));
    assert!(html(&s, page(&none, &|_| None)).contains("</html>"));
}

/// `REINSMAN_REPORT=out.html cargo test -p reinsman-eval --test report look` writes a page to look at.
#[test]
fn look() {
    if let Ok(path) = std::env::var("REINSMAN_REPORT") {
        let own = log(400, |_| ());
        let picture = std::env::var("REINSMAN_PICTURE").ok().and_then(|p| std::fs::read(p).ok());
        let s = summary(&own, Some(&constant(400)));
        let checks = threshold::check(&threshold::parse("joint=0.5,path_f1=0.9").unwrap(), &s);
        std::fs::write(path, html(&s, Page { checks: &checks, ..page(&own, &|_| picture.clone()) })).unwrap();
        println!("{}\n{}", terminal(&s, Some("report.html")), markdown(&s));
    }
}
