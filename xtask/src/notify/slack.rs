//! The message as a Slack incoming webhook takes it: blocks, and a text for where blocks are not shown.
//!
//! Slack refuses a message that is over any limit, and treats `<!channel>` in a text as a mention of the whole channel.
//! So every text is escaped, cut to its place's limit after escaping, and marked as not to be interpreted;
//! what is least needed goes first when the whole is too long.

use serde_json::{Value, json};

use super::message::{Cause, Message, Verdict};

/// Slack's limits, in characters.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELDS: usize = 10;
const FIELD: usize = 2000;

/// Slack cuts longer messages. Counted in bytes of the JSON, which is never less than characters.
const WHOLE: usize = 9000;

/// What is shown of what there may be many of.
const CAUSES: usize = 5;
const FIGURES: usize = 8;
const ALERTS: usize = 20;

/// A text of the outside world within a line of several.
const SHORT: usize = 200;

/// The message as JSON.
pub(crate) fn render(message: &Message) -> Value {
    fitted(&fallback(message), blocks(message))
}

/// A message of as many of the blocks as Slack takes.
fn fitted(fallback: &str, mut blocks: Vec<(u8, Value)>) -> Value {
    loop {
        let rendered = json!({
            "text": fallback,
            "blocks": blocks.iter().map(|(_, block)| block).collect::<Vec<_>>(),
            // Slack turns neither names nor addresses in a text into mentions or links.
            "parse": "none",
            "link_names": false,
            "unfurl_links": false,
            "unfurl_media": false,
        });
        let least_needed = (0..blocks.len()).rev().max_by_key(|&at| (blocks[at].0, at));
        match least_needed {
            Some(at) if rendered.to_string().len() >= WHOLE => drop(blocks.remove(at)),
            _ => return rendered,
        }
    }
}

/// One message about alerts that started or ended: a headline, a text of several lines per alert, and links to the
/// run and the report.
pub(crate) fn alerts(headline: &str, texts: &[Vec<String>], [run, report]: &[Option<String>; 2]) -> Value {
    let header = json!({
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(headline, HEADER), "emoji": true},
    });
    let text = |lines: &Vec<String>| {
        let lines: Vec<String> = lines.iter().map(|line| escaped(line, 2 * SHORT)).collect();
        match lines.split_first() {
            Some((first, rest)) => format!("*{first}*\n{}", rest.join("\n")),
            None => String::new(),
        }
    };
    let mut blocks = vec![(0, header)];
    blocks.extend(texts.iter().take(ALERTS).map(|lines| (2, section(&text(lines)))));
    if texts.len() > ALERTS {
        blocks.push((1, section(&format!("{} more in the report", texts.len() - ALERTS))));
    }
    blocks.extend(links_of(run.as_ref(), report.as_ref()).map(|links| (1, section(&links))));
    fitted(&escaped(headline, 3 * SHORT), blocks)
}

/// Blocks in the order of reading, each with how soon it may go.
fn blocks(message: &Message) -> Vec<(u8, Value)> {
    let title = format!("{} {}", message.verdict.symbol(), message.headline);
    let header = json!({
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(&title, HEADER), "emoji": true},
    });
    let mut blocks = vec![(0, header)];
    // The first cause first of all: phones show a few lines only.
    let mut causes = causes(message).into_iter();
    blocks.extend(causes.next().map(|text| (1, section(&text))));
    if !message.stages.is_empty() {
        blocks.push((2, section(&stages(message))));
    }
    let fields = fields(message);
    if !fields.is_empty() {
        blocks.push((2, json!({"type": "section", "fields": fields})));
    }
    blocks.extend(causes.map(|text| (4, section(&text))));
    if !message.slowest.is_empty() {
        let slowest =
            message.slowest.iter().map(|(name, seconds)| format!("{} {seconds:.1} s", escaped(name, SHORT)));
        blocks.push((5, section(&format!("*Slowest* {}", slowest.collect::<Vec<_>>().join(", ")))));
    }
    if !message.figures.is_empty() {
        blocks.push((6, section(&figures(message))));
    }
    if let Some(links) = links(message) {
        blocks.push((2, section(&links)));
    }
    blocks.extend(footer(message).map(|block| (3, block)));
    blocks
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text, SECTION)})
}

/// `text` is escaped already, so it is only dropped as a whole, never cut in the middle of an escape.
fn mrkdwn(text: &str, most: usize) -> Value {
    let text = if text.chars().count() <= most { text } else { "…" };
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

fn stages(message: &Message) -> String {
    let stage = |(name, state): &(String, super::message::State)| {
        format!("{} {} {}", state.symbol(), escaped(name, SHORT), state.words())
    };
    message.stages.iter().take(FIELDS).map(stage).collect::<Vec<_>>().join("   ")
}

fn fields(message: &Message) -> Vec<Value> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    if let Some(environment) = &message.environment {
        let target = environment.target.as_ref().map(|target| format!(" on {target}")).unwrap_or_default();
        let base = environment.base.as_ref().map(|base| format!(", from {base}")).unwrap_or_default();
        fields.push(("Environment", format!("{}{target}{base}", environment.kind)));
        fields.push(("Schema", environment.schema.clone()));
    }
    fields.extend(message.trigger.what.clone().map(|what| ("Triggered by", what)));
    fields.extend(message.trigger.who.clone().map(|who| ("Who", who)));
    fields.extend(message.trigger.commit.clone().map(|commit| ("Commit", commit)));
    fields.extend(message.tests.map(|tests| ("Tests", tests.words())));
    fields.extend(message.seconds.map(|seconds| ("Seconds", format!("{seconds:.1}"))));
    let field =
        |(name, value): (&str, String)| mrkdwn(&format!("*{name}*\n{}", escaped(&value, 2 * SHORT)), FIELD);
    fields.into_iter().take(FIELDS).map(field).collect()
}

/// One text per root cause; the last one counts what is not shown and what was stopped.
fn causes(message: &Message) -> Vec<String> {
    let mut texts: Vec<String> = message.causes.iter().take(CAUSES).map(cause).collect();
    let more = message.causes.len().saturating_sub(CAUSES);
    let mut rest = Vec::new();
    if more > 0 {
        rest.push(format!("{more} more failed"));
    }
    if message.skipped > 0 {
        rest.push(format!("{} skipped because of that", message.skipped));
    }
    match texts.first_mut() {
        Some(first) if !rest.is_empty() => *first = format!("{first}\n{}", rest.join("; ")),
        _ => {}
    }
    texts
}

fn cause(cause: &Cause) -> String {
    let place =
        cause.location.as_ref().map(|place| format!("\n{}:{}", escaped(&place.path, SHORT), place.line));
    let line = cause.line.as_ref().map(|line| format!("\n>{}", escaped(line, 3 * SHORT)));
    let rows = cause.rows.iter().map(|row| format!("\n>row: {}", escaped(row, 2 * SHORT)));
    let rows = rows.collect::<Vec<_>>().concat();
    format!(
        "*{} {}* {}{}{}{rows}",
        escaped(&cause.kind, SHORT),
        escaped(&cause.status, SHORT),
        escaped(&cause.name, SHORT),
        place.unwrap_or_default(),
        line.unwrap_or_default(),
    )
}

fn figures(message: &Message) -> String {
    let shown = message.figures.iter().take(FIGURES);
    let lines: Vec<String> =
        shown.map(|(name, value)| format!("{}: {}", escaped(name, SHORT), escaped(value, SHORT))).collect();
    let more = message.figures.len().saturating_sub(FIGURES);
    let more = if more > 0 { format!("\n{more} more in the report") } else { String::new() };
    format!("*Metrics*\n{}{more}", lines.join("\n"))
}

fn links(message: &Message) -> Option<String> {
    links_of(message.run_url.as_ref(), message.report_url.as_ref())
}

fn links_of(run: Option<&String>, report: Option<&String>) -> Option<String> {
    let link =
        |url: Option<&String>, label: &str| url.map(|url| format!("<{}|{label}>", url.replace('&', "&amp;")));
    let links: Vec<String> = [link(run, "Run"), link(report, "Report")].into_iter().flatten().collect();
    (!links.is_empty()).then(|| links.join("  ·  "))
}

fn footer(message: &Message) -> Option<Value> {
    let reproduce = message.reproduce.as_ref().filter(|_| message.verdict == Verdict::Failed);
    let mut lines: Vec<String> =
        reproduce.map(|line| format!("Reproduce: {}", escaped(line, SHORT))).into_iter().collect();
    lines.extend(message.gaps.iter().take(3).map(|gap| escaped(gap, SHORT)));
    (!lines.is_empty()).then(|| json!({"type": "context", "elements": [mrkdwn(&lines.join("\n"), FIELD)]}))
}

/// What notifications and screen readers show.
fn fallback(message: &Message) -> String {
    let cause = message.causes.first().map(|cause| {
        let line = cause.line.as_ref().map(|line| format!(": {line}")).unwrap_or_default();
        let row = cause.rows.first().map(|row| format!("; row: {row}")).unwrap_or_default();
        format!("\n{} {} {}{line}{row}", cause.kind, cause.status, cause.name)
    });
    let text = format!("{} {}{}", message.verdict.symbol(), message.headline, cause.unwrap_or_default());
    escaped(&text, 3 * SHORT)
}

/// `text` as Slack shows it letter by letter, in at most `most` characters after escaping.
///
/// The joiner after an at sign has no width; with it Slack does not recognise the name behind it, should the
/// interpretation of names be switched on.
fn escaped(text: &str, most: usize) -> String {
    let mut kept = String::new();
    let mut length = 0;
    for c in text.chars() {
        let from = kept.len();
        match c {
            '&' => kept.push_str("&amp;"),
            '<' => kept.push_str("&lt;"),
            '>' => kept.push_str("&gt;"),
            '@' => kept.push_str("@\u{2060}"),
            c => kept.push(c),
        }
        length += kept[from..].chars().count();
        if length >= most {
            kept.truncate(from);
            kept.push('…');
            break;
        }
    }
    kept
}
