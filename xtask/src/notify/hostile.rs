//! Hostile text in every place that the outside world can reach: no mention, no markup, no limit broken.
//!
//! The checks here know Slack's and GitHub's rules and nothing of how the renderers follow them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts::{Facts, Origin};
use super::message::{self, Message};
use super::{markdown, slack};

const RUN_URL: &str = "https://github.example.com/o/r/actions/runs/1?a=1&b=2";

/// Everything that has a meaning somewhere on the way.
const PIECES: [&str; 40] = [
    "<!channel>",
    "<!here>",
    "<@U012AB3CD>",
    "<#C012AB3CD>",
    "<!subteam^S1>",
    "@channel",
    "@here",
    "@octocat",
    "@org/team",
    "<https://evil.example|ok>",
    "https://evil.example",
    "www.evil.example",
    "#123",
    "GH-7",
    "o/r#5",
    "&lt;!channel&gt;",
    "&amp;",
    "<script>",
    "<img src=x onerror=y>",
    "</pre>",
    "</code>",
    "</details>",
    "-->",
    "<!-- cargo-xtask",
    "```",
    "`",
    "](http://evil.example)",
    "![x](y)",
    "**",
    "~~",
    "| a | b |",
    "\n# head",
    "\r\n::error::x",
    "\n- x",
    "::set-output name=a::b",
    "%0A",
    "\u{202E}",
    "\u{0}",
    "\"",
    "\\",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[ -~]{0,40}",
        1 => (prop::sample::select(&PIECES[..]), 1_usize..2000).prop_map(|(piece, times)| piece.repeat(times)),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// Facts with `text` everywhere, and so many of each thing that every limit is reached.
fn facts(texts: &[String], many: usize) -> Facts {
    let text = |at: usize| texts[at % texts.len()].as_str();
    let node = |at: usize| {
        json!({
            "id": format!("test.{at}.{}", text(at)), "name": text(at), "kind": if at.is_multiple_of(2) { "test" } else { text(at + 1) },
            "status": (["fail", "error", "warn", "skipped"][at % 4]), "seconds": at, "message": text(at + 2),
            "location": {"path": text(at + 3), "line": 7}, "depends_on": [text(at)],
            "sample": (0..at % 5).map(|row| json!({text(row): text(at + row), "n": row})).collect::<Vec<_>>(),
        })
    };
    let run = json!({
        "schema": "issue_42", "target": text(1), "run_id": text(2), "status": "fail", "message": text(3), "seconds": 1.0,
        "nodes": (0..many).map(node).collect::<Vec<_>>(),
    });
    let plan = json!({
        "action": "build", "schema": "issue_42", "base": text(1), "stages": {"elt": true},
        "reasons": texts, "event": {"name": "issues", "number": 42, "title": text(2), "actor": text(3), "commit": text(0)},
    });
    let figures: Vec<Value> = (0..many)
        .map(|at| json!({"name": text(at), "value": at.is_multiple_of(2).then(|| text(at)), "unit": text(at), "reason": text(at)}))
        .collect();
    let alerts: Vec<Value> =
        (0..many).map(|at| json!({"state": "firing", "changed": true, "message": text(at)})).collect();
    let stages = (0..20).map(|at| format!("{}{at}=failure", text(at).replace('=', "-")));
    Facts {
        plan: Some(serde_json::from_value(plan).expect("a plan")),
        runs: vec![serde_json::from_value(run).expect("a run")],
        metrics: Some(
            serde_json::from_value(json!({"figures": figures, "alerts": alerts})).expect("metrics"),
        ),
        stages: stages.map(|stage| stage.parse().expect("a stage")).collect(),
        dropped: None,
        findings: (0..many)
            .map(|at| {
                let finding = json!({"rule": text(at), "path": text(at), "line": 7, "message": text(at)});
                serde_json::from_value(finding).expect("a finding")
            })
            .collect(),
        origin: Origin {
            run_url: Some(RUN_URL.to_owned()),
            git_ref: Some(text(0).to_owned()),
            ..Origin::default()
        },
        report_url: Some(text(1).to_owned()),
        gaps: texts.to_vec(),
    }
}

/// What Slack checks, and what it would make of the texts.
fn check_slack(rendered: &Value) {
    let whole = rendered.to_string();
    assert!(whole.len() < 9000, "{} bytes", whole.len());
    let blocks = rendered["blocks"].as_array().expect("blocks");
    assert!((1..=50).contains(&blocks.len()));
    assert_eq!(blocks[0]["type"], "header", "the head stays, whatever has to go");
    for block in blocks {
        match block["type"].as_str().expect("a type") {
            "header" => check_text(&block["text"], "plain_text", 150),
            "section" => {
                let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
                assert!(fields.len() <= 10 && (block["text"].is_object() || !fields.is_empty()));
                for field in fields {
                    check_text(field, "mrkdwn", 2000);
                }
                if block["text"].is_object() {
                    check_text(&block["text"], "mrkdwn", 3000);
                }
            }
            "context" => {
                let elements = block["elements"].as_array().expect("elements");
                assert!((1..=10).contains(&elements.len()));
                for element in elements {
                    check_text(element, "mrkdwn", 2000);
                }
            }
            other => panic!("an unknown block: {other}"),
        }
    }
    assert_eq!((&rendered["parse"], &rendered["link_names"]), (&"none".into(), &false.into()));
    check_words(rendered["text"].as_str().expect("a fallback"));
}

fn check_text(object: &Value, kind: &str, most: usize) {
    assert_eq!(object["type"], kind);
    assert!(kind != "mrkdwn" || object["verbatim"] == true);
    let text = object["text"].as_str().expect("a text");
    assert!((1..=most).contains(&text.chars().count()), "{} characters", text.chars().count());
    check_words(text);
}

/// Slack gives a meaning to `<…>`, to `&…;` and to a name after an at sign.
fn check_words(text: &str) {
    let ours = format!("<{}|Run>", RUN_URL.replace('&', "&amp;"));
    let text = text.replace(&ours, "");
    for (at, _) in text.match_indices('<') {
        let link = &text[at..];
        assert!(link.starts_with("<http") && link.contains("|Report>"), "{link}");
    }
    for (at, _) in text.match_indices('&') {
        assert!(
            ["&amp;", "&lt;", "&gt;"].iter().any(|escape| text[at..].starts_with(escape)),
            "{}",
            &text[at..]
        );
    }
    assert!(!mentions(&text), "{text}");
}

fn mentions(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| text[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// What GitHub would make of the text: only our tags, our links, our fences; no mentions, nothing else linked.
fn check_markdown(text: &str, message: &Message) {
    assert!(text.len() <= 65_535, "{} bytes", text.len());
    assert!(text.starts_with(&markdown::marker(message)));
    for tag in ["code", "pre", "details", "summary"] {
        let (open, closed) = (format!("<{tag}>"), format!("</{tag}>"));
        assert_eq!(text.matches(&open).count(), text.matches(&closed).count(), "{tag}");
    }
    let tags = ["<code>", "</code>", "<pre>", "</pre>", "<details>", "</details>", "<summary>", "</summary>"];
    for (at, _) in text.match_indices('<').skip(1) {
        assert!(tags.iter().any(|tag| text[at..].starts_with(tag)), "{}", &text[at..]);
    }
    assert!(!mentions(&text.replace("&#64;", "@")), "a mention");
    // In `<pre>` nothing but HTML has a meaning.
    let outside: String =
        text.split("<pre>").map(|part| part.split_once("</pre>").map_or(part, |(_, rest)| rest)).collect();
    assert_eq!(outside.matches('`').count(), 6, "our fence and no other");
    let links: Vec<&str> = outside.split("](").skip(1).collect();
    assert!(links.first().is_some_and(|link| link.starts_with(RUN_URL)) && links.len() <= 2);
    assert_eq!(outside.matches(['[', ']', '*']).count(), 4 + 2 * links.len(), "no markup but ours");
    let letters = |c: char| c.is_ascii_alphanumeric();
    assert!(
        outside
            .match_indices('_')
            .all(|(at, _)| { outside[..at].ends_with(letters) && outside[at + 1..].starts_with(letters) })
    );
    // The addresses of our links may contain anything.
    let prose: String = outside
        .split("](")
        .enumerate()
        .filter_map(
            |(at, part)| if at == 0 { Some(part) } else { part.split_once(')').map(|(_, rest)| rest) },
        )
        .collect();
    let plain = prose.replace("&#35;", "#").to_ascii_lowercase();
    let digits = |c: char| c.is_ascii_digit();
    assert!(
        !plain
            .match_indices('#')
            .any(|(at, _)| { !plain[..at].ends_with('&') && plain[at + 1..].starts_with(digits) })
    );
    assert!(!plain.match_indices("gh-").any(|(at, _)| plain[at + 3..].starts_with(digits)));
    assert!(!plain.contains("www."));
    assert!(!plain.contains("://"), "no address but in our links");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_text_leaves_its_place(texts in prop::collection::vec(hostile(), 1..5), many in 0_usize..120) {
        let facts = facts(&texts, many);
        let message = message::compose(&facts);
        check_slack(&slack::render(&message));
        check_markdown(&markdown::comment(&message, None), &message);
        prop_assert!(super::post::annotations(&message).iter().all(|remark| remark.title.chars().count() <= 255));
    }
}

#[test]
fn one_text_of_every_kind_at_every_limit() {
    for piece in PIECES.iter().chain(&["x", "&", "\u{1F600}", "a "]) {
        let message = message::compose(&facts(&[piece.repeat(2000)], 120));
        check_slack(&slack::render(&message));
        check_markdown(&markdown::comment(&message, None), &message);
    }
}
