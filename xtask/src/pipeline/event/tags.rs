//! Run-tags: words such as `#run_elt` and `#skip_obs` in commit messages that turn stages on and off.
//!
//! Only what a person writes as an instruction counts. A revert repeats the message it takes back, a quotation
//! repeats another person's, and code only mentions tags; all three are ignored.

use super::form;
use crate::core::stage::Stage;

/// The stages that a word after `#run_` or `#skip_` means.
fn meant(word: &str) -> &'static [Stage] {
    match word {
        "all" | "orchestrate" => &Stage::ALL,
        "elt" | "pipeline" | "pipelines" => &[Stage::Elt],
        "security" => &[Stage::Security],
        "obs" | "observability" => &[Stage::Observability],
        _ => &[],
    }
}

fn bit(stage: Stage) -> u8 {
    1 << stage as u8
}

/// What the tags of some messages say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    run: u8,
    skip: u8,
}

impl Tags {
    /// The tags of one message.
    pub(crate) fn of(message: &str) -> Self {
        let mut tags = Self::default();
        if is_revert(message) {
            return tags;
        }
        let mut fence = None;
        for line in message.lines() {
            let opened_by = fence;
            fence = form::after(fence, line);
            // The common case first: most lines of most messages have no tag.
            if opened_by.is_none() && fence.is_none() && line.contains('#') && !is_quoted(line) {
                tags.read(&unquoted(line));
            }
        }
        tags
    }

    fn read(&mut self, line: &str) {
        for (at, _) in line.match_indices('#') {
            let before = line[..at].chars().next_back();
            let rest = &line[at + 1..];
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let starts_a_word = before.is_none_or(|c| c.is_whitespace() || "([{,;:".contains(c));
            let ends_a_word =
                rest[end..].chars().next().is_none_or(|c| c.is_whitespace() || ")]},;:.!?".contains(c));
            if starts_a_word && ends_a_word {
                self.take(&rest[..end].to_ascii_lowercase());
            }
        }
    }

    fn take(&mut self, word: &str) {
        let (set, stages) = if word == "orchestrate" {
            (&mut self.run, meant(word))
        } else if let Some(what) = word.strip_prefix("run_").filter(|what| *what != "orchestrate") {
            (&mut self.run, meant(what))
        } else if let Some(what) = word.strip_prefix("skip_") {
            (&mut self.skip, meant(what))
        } else {
            return;
        };
        *set |= stages.iter().fold(0, |bits, stage| bits | bit(*stage));
    }

    /// The tags of several messages count together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { run: self.run | other.run, skip: self.skip | other.skip }
    }

    pub(crate) fn asks_for(self, stage: Stage) -> bool {
        self.run & bit(stage) != 0
    }

    pub(crate) fn skips(self, stage: Stage) -> bool {
        self.skip & bit(stage) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether any stage is asked for, skipped again or not.
    pub(crate) fn asks(self) -> bool {
        self.run != 0
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// What `git revert` and GitHub write, and the type `revert` of conventional commits.
fn is_revert(message: &str) -> bool {
    let title = message.trim_start().lines().next().unwrap_or_default();
    let lower = title.to_ascii_lowercase();
    ["revert \"", "reapply \"", "revert:", "revert("].iter().any(|start| lower.starts_with(start))
        || message.contains("This reverts commit ")
}

/// A line of an e-mail quotation, or of code by indentation.
fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>') || line.starts_with("    ") || line.starts_with('\t')
}

/// `line` with every `code span` and "quotation" that is closed on it taken out.
fn unquoted(line: &str) -> String {
    [('`', '`'), ('"', '"'), ('“', '”'), ('«', '»')]
        .into_iter()
        .filter(|(open, _)| line.contains(*open))
        .fold(line.to_owned(), |text, (open, close)| without(&text, open, close))
}

/// Where a quotation opens. A mark that follows a digit is one of inches, feet or seconds.
fn opening(text: &str, mark: char) -> Option<usize> {
    let is_inch = |at: usize| mark == '"' && text[..at].ends_with(|c: char| c.is_ascii_digit());
    text.match_indices(mark).map(|(at, _)| at).find(|at| !is_inch(*at))
}

fn without(text: &str, open: char, close: char) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = opening(rest, open) {
        let (before, after) = (&rest[..start], &rest[start + open.len_utf8()..]);
        let Some((_, behind)) = after.split_once(close) else { break };
        kept.push_str(before);
        // A letter replaces the quotation, so that nothing beside it becomes a word.
        kept.push('q');
        rest = behind;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tags of a message as letters: upper case is run, lower case is skip.
    fn letters(message: &str) -> String {
        let tags = Tags::of(message);
        let names = [(Stage::Security, 'S'), (Stage::Elt, 'E'), (Stage::Observability, 'O')];
        let run = names.iter().filter(|(stage, _)| tags.asks_for(*stage)).map(|(_, name)| *name);
        let skip =
            names.iter().filter(|(stage, _)| tags.skips(*stage)).map(|(_, name)| name.to_ascii_lowercase());
        run.chain(skip).collect()
    }

    #[test]
    fn every_documented_tag_is_known() {
        for (message, expected) in [
            ("#run_all", "SEO"),
            ("#orchestrate", "SEO"),
            ("#run_elt", "E"),
            ("#run_pipeline", "E"),
            ("#run_pipelines", "E"),
            ("#run_security", "S"),
            ("#run_obs", "O"),
            ("#run_observability", "O"),
            ("#skip_all", "seo"),
            ("#skip_orchestrate", "seo"),
            ("#skip_elt", "e"),
            ("#skip_pipeline", "e"),
            ("#skip_pipelines", "e"),
            ("#skip_security", "s"),
            ("#skip_obs", "o"),
            ("#skip_observability", "o"),
            ("#RUN_ELT", "E"),
            ("Add KPIs (#run_elt), please. #skip_obs!", "Eo"),
            ("Title\n\nbody\n#run_all #skip_security\n", "SEOs"),
        ] {
            assert_eq!(letters(message), expected, "{message}");
        }
    }

    #[test]
    fn only_whole_words_count() {
        for message in [
            "",
            "#",
            "run_elt",
            "# run_elt",
            "#run_",
            "#run_elts",
            "#run_elt_now",
            "#run_elt-now",
            "#run-elt",
            "x#run_elt",
            "##run_elt",
            "#run_elté",
            "a/#run_elt",
            "https://x/#run_elt",
            "&#run_elt",
            "#run_elt/x",
            "#run_elt=1",
            "#run_orchestrate",
            "#Ｒun_elt",
            "Merge branch '#run_all'",
            "Merge pull request #5 from a/#run_all",
        ] {
            assert_eq!(letters(message), "", "{message}");
        }
    }

    #[test]
    fn reverts_and_quotations_do_not_count() {
        for message in [
            "Revert \"Add KPIs #run_elt\"\n\nThis reverts commit 0a1b.",
            "Reapply \"Add KPIs #run_elt\"",
            "revert: add KPIs #run_elt",
            "Take it back #run_all\n\nThis reverts commit 0a1b.",
            "> #run_all",
            "As he said:\n  > please #run_all",
            "Explain `#run_all`",
            "Explain \"say #run_all\" in the README",
            "Explain “#run_all” and '#run_elt'",
            "Explain\n\n```\n#run_all\n```",
            "Explain\n\n~~~text\n#run_all",
            "Explain\n\n    #run_all\n",
        ] {
            assert_eq!(letters(message), "", "{message}");
        }
        assert_eq!(letters("```\n#run_all\n```\n#run_elt"), "E");
        assert_eq!(letters("`#run_all` is too much: #run_elt"), "E");
        assert_eq!(letters("a 6\" pipe #run_elt"), "E", "an unclosed quotation does not count");
        assert_eq!(letters("6\" pipe #run_elt and 8\" pipe"), "E", "inches are not quotation marks");
        assert_eq!(letters("a 6\" pipe, \"say #run_elt\""), "", "a quotation after inches is one");
        assert_eq!(letters("\"a 6\" pipe\" #run_elt"), "E");
    }
}
