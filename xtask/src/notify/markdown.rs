//! The message as GitHub shows it: in a comment, in a job's summary and in a check.
//!
//! Text from outside becomes character references or is put in `<pre>`, so it cannot be markup. GitHub looks
//! for `@name`, `#12` and addresses in the finished page, references or not, so an invisible space splits those.

use std::fmt::Write as _;

use super::message::{Cause, Message};

/// GitHub's limit of a comment is 65,536 characters, of a check's summary 65,535. Bytes are never fewer.
const LONGEST: usize = 65_535;

/// Bytes for the parts that may be long.
const FOR_CAUSES: usize = 20_000;
const FOR_WARNINGS: usize = 6_000;
const FOR_LISTS: usize = 4_000;

/// Bytes that the rest takes at most: every text in it is bounded, and a character takes up to eight.
const FOR_REST: usize = 27_000;

const _: () = assert!(FOR_CAUSES + FOR_WARNINGS + 3 * FOR_LISTS + FOR_REST <= LONGEST);

/// Stages that are shown: those of a pipeline, and as many other jobs as may go wrong in it.
const STAGES: usize = 8;

/// The first line of our comments. One comment per environment: a second pipeline of the same
/// issue in another environment has its own.
pub(crate) fn marker(message: &Message) -> String {
    let key: String = message.subject.chars().filter(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
    format!("<!-- cargo-xtask environment={key} -->")
}

/// With the run that wrote it, so that an older one that ends later leaves it as it is.
pub(crate) fn comment(message: &Message, run: Option<(u64, u64)>) -> String {
    let run = run.map(|run| format!("<!-- {} -->\n", run_text(run))).unwrap_or_default();
    format!("{}\n{run}{}", marker(message), render(message))
}

/// Number and attempt of a run, as comments and checks carry them.
pub(crate) fn run_text((id, attempt): (u64, u64)) -> String {
    format!("run={id} attempt={attempt}")
}

pub(crate) fn run_of(text: &str) -> Option<(u64, u64)> {
    let (id, attempt) = text.trim().strip_prefix("run=")?.split_once(" attempt=")?;
    Some((id.parse().ok()?, attempt.parse().ok()?))
}

/// The run that wrote a comment, from the line below its marker.
pub(crate) fn written_by(comment: &str) -> Option<(u64, u64)> {
    run_of(comment.lines().nth(1)?.trim().strip_prefix("<!--")?.strip_suffix("-->")?)
}

/// The whole content, the important first and the long folded away.
pub(crate) fn render(message: &Message) -> String {
    let mut text = format!("### {} {}\n\n", message.verdict.symbol(), inline(&message.headline));
    // First of all: mails and previews show a few lines only.
    if let Some(first) = message.causes.first() {
        let _ = write!(text, "**Cause:** {}\n\n", cause(first));
        for row in first.rows.iter().skip(1) {
            let _ = write!(text, "• row {}\n\n", code(row));
        }
        if message.skipped > 0 {
            let _ = write!(text, "{} nodes were skipped because of failures.\n\n", message.skipped);
        }
    }
    text.push_str(&overview(message));
    for alert in &message.alerts {
        let _ = write!(text, "{}\n\n", inline(alert));
    }
    text.push_str(&causes("failed", &message.causes, FOR_CAUSES));
    text.push_str(&causes("warned", &message.warnings, FOR_WARNINGS));
    let slowest =
        message.slowest.iter().map(|(name, seconds)| format!("| {} | {seconds:.2} |\n", code(name)));
    text.push_str(&folded("Slowest nodes", "| Node | Seconds |\n| --- | ---: |\n", slowest));
    let figures =
        message.figures.iter().map(|(name, value)| format!("| {} | {} |\n", inline(name), inline(value)));
    text.push_str(&folded("Metrics", "| Figure | Value |\n| --- | --- |\n", figures));
    let reasons = message.reasons.iter().map(|reason| format!("- {}\n", inline(reason)));
    text.push_str(&folded("Why this ran", "", reasons));
    for gap in message.gaps.iter().take(5) {
        let _ = write!(text, "Note: {}\n\n", inline(gap));
    }
    if let Some(line) = &message.reproduce {
        // Made of a name of the grammar and our fixed words, so it does not need escaping.
        let _ = write!(text, "Run the same locally:\n\n```sh\n{line}\n```\n\n");
    }
    let links = [("Run", &message.run_url), ("Report", &message.report_url)];
    let links = links.iter().filter_map(|(label, url)| Some(format!("[{label}]({})", url.as_ref()?)));
    text.push_str(&links.collect::<Vec<_>>().join(" · "));
    text.trim_end().to_owned()
}

fn overview(message: &Message) -> String {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (name, state) in message.stages.iter().take(STAGES) {
        rows.push(("Stage", format!("{} {} {}", state.symbol(), code(name), state.words())));
    }
    if let Some(environment) = &message.environment {
        let target = environment.target.as_ref().map(|target| format!(" on {}", code(target)));
        let base = environment.base.as_ref().map(|base| format!(", from {}", code(base)));
        let (target, base) = (target.unwrap_or_default(), base.unwrap_or_default());
        rows.push(("Environment", format!("{}{target}{base}", environment.kind)));
        rows.push(("Schema", code(&environment.schema)));
    }
    rows.extend(message.trigger.what.as_ref().map(|what| ("Triggered by", inline(what))));
    rows.extend(message.trigger.who.as_ref().map(|who| ("Who", code(who))));
    rows.extend(message.trigger.commit.as_ref().map(|commit| ("Commit", code(commit))));
    rows.extend(message.tests.map(|tests| ("Tests", tests.words())));
    rows.extend(message.seconds.map(|seconds| ("Seconds", format!("{seconds:.1}"))));
    if rows.is_empty() {
        return String::new();
    }
    let mut table = "| | |\n| --- | --- |\n".to_owned();
    for (name, value) in rows {
        let _ = writeln!(table, "| {name} | {value} |");
    }
    table.push('\n');
    table
}

fn cause(cause: &Cause) -> String {
    let place = cause
        .location
        .as_ref()
        .map(|place| format!(" in {}", code(&format!("{}:{}", place.path, place.line))));
    let line = cause.line.as_ref().map(|line| format!(": {}", inline(line)));
    let row = cause.rows.first().map(|row| format!("; row {}", code(row)));
    format!(
        "{} {} {}{}{}{}",
        inline(&cause.kind),
        inline(&cause.status),
        code(&cause.name),
        place.unwrap_or_default(),
        line.unwrap_or_default(),
        row.unwrap_or_default(),
    )
}

/// All of `causes` with their messages, folded, as many as fit.
fn causes(what: &str, causes: &[Cause], room: usize) -> String {
    if causes.is_empty() {
        return String::new();
    }
    let mut text = format!("<details><summary>{} {what}</summary>\n\n", causes.len());
    let mut shown = 0;
    for one in causes {
        let more =
            one.detail.as_ref().filter(|detail| one.line.as_ref() != Some(detail) || one.rows.len() > 1);
        let more = more.map(|detail| super::message::with_rows(detail, &one.rows));
        let detail = more.as_deref().map(|detail| format!("<pre>{}</pre>\n\n", preformatted(detail)));
        // Of a line's first character Markdown may make a list, so it is one of ours.
        let entry = format!("• {}\n\n{}", cause(one), detail.unwrap_or_default());
        if text.len() + entry.len() > room {
            break;
        }
        text.push_str(&entry);
        shown += 1;
    }
    close(&mut text, causes.len() - shown);
    text
}

fn folded(title: &str, head: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("<details><summary>{title}</summary>\n\n{head}");
    let mut shown = 0;
    for line in &lines {
        if text.len() + line.len() > FOR_LISTS {
            break;
        }
        text.push_str(line);
        shown += 1;
    }
    text.push('\n');
    close(&mut text, lines.len() - shown);
    text
}

fn close(text: &mut String, hidden: usize) {
    if hidden > 0 {
        let _ = write!(text, "… and {hidden} more\n\n");
    }
    text.push_str("</details>\n\n");
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", inline(text))
}

/// `text` within a line: what could be markup there becomes a reference, the rest stays readable.
fn inline(text: &str) -> String {
    let mut escaped = String::new();
    let mut last = ' ';
    let mut chars = parted(text).chars().collect::<Vec<_>>().into_iter().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            // Within a word it emphasises nothing, and names are full of it.
            '_' if last.is_ascii_alphanumeric() && next.is_ascii_alphanumeric() => escaped.push(c),
            '.' | ',' | '/' | '-' | ':' | ';' | '=' | '!' | '?' | '%' | '+' | '(' | ')' | '"' | '\'' => {
                escaped.push(c);
            }
            c if c.is_ascii_punctuation() => {
                let _ = write!(escaped, "&#{};", c as u32);
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        last = c;
    }
    escaped
}

/// `text` in `<pre>`, where lines stay lines and only HTML has a meaning.
fn preformatted(text: &str) -> String {
    let text = parted(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "")
}

/// `text` with an invisible space in what GitHub would make a mention, a reference or a link of.
fn parted(text: &str) -> String {
    let mut parted = String::with_capacity(text.len());
    let mut last = ['\0'; 3];
    for c in text.chars() {
        let splits = match c {
            '-' => matches!(last, [_, 'g', 'h']),
            '.' => last == ['w'; 3],
            '/' => last[2] == ':',
            _ => false,
        };
        if splits {
            parted.push('\u{200B}');
        }
        parted.push(c);
        if matches!(c, '@' | '#') {
            parted.push('\u{200B}');
        }
        last = [last[1], last[2], c.to_ascii_lowercase()];
    }
    parted
}
