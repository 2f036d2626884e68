//! Run-tags: words such as `#run_elt` and `#skip_obs` in commit messages that turn stages on and off.
//!
//! Only what a person writes as an instruction counts. A revert repeats the message it takes back, a quotation
//! repeats another person's, and code only mentions tags; all three are ignored.

use super::form;
use crate::core::stage::{Stage, Stages};

/// The stages that a word after `#run_` or `#skip_` means.
fn meant(word: &str) -> Stages {
    match word {
        "all" | "orchestrate" => Stages::ALL,
        _ => Stage::ALL.into_iter().filter(|stage| stage.tags().contains(&word)).collect(),
    }
}

/// What the tags of some messages say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    /// The stages that are asked for, skipped again or not.
    pub(crate) run: Stages,
    pub(crate) skip: Stages,
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
        *set = set.with(stages);
    }

    /// The tags of several messages count together.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { run: self.run.with(other.run), skip: self.skip.with(other.skip) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
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
        initials(tags.run).to_uppercase() + &initials(tags.skip)
    }

    fn initials(stages: Stages) -> String {
        stages.names().iter().map(|name| &name[..1]).collect()
    }

    #[test]
    fn every_tag_of_a_stage_is_known_and_documented() {
        let path = format!("{}/../docs/pipeline.md", env!("CARGO_MANIFEST_DIR"));
        let document = std::fs::read_to_string(path).expect("docs/pipeline.md");
        for stage in Stage::ALL {
            let cell = |verb: &str| {
                let tags = stage.tags().iter().map(|tag| format!("`#{verb}_{tag}`"));
                tags.collect::<Vec<_>>().join(" ")
            };
            let row = format!("| {} | {} | {} |\n", stage.label(), cell("run"), cell("skip"));
            assert!(document.contains(&row), "docs/pipeline.md has no row {row}");
            let only = Stages::from_iter([stage]);
            for tag in stage.tags() {
                assert_eq!(Tags::of(&format!("#run_{tag}")), Tags { run: only, ..Tags::default() });
                assert_eq!(Tags::of(&format!("#skip_{tag}")), Tags { skip: only, ..Tags::default() });
            }
        }
    }

    #[test]
    fn tags_of_all_stages_and_in_any_case_are_known() {
        let skipped = initials(Stages::ALL);
        let all = skipped.to_uppercase();
        for (message, expected) in [
            ("#run_all", all.as_str()),
            ("#orchestrate", &all),
            ("#skip_all", &skipped),
            ("#skip_orchestrate", &skipped),
            ("#RUN_ELT", "E"),
            ("Add KPIs (#run_elt), please. #skip_obs!", "Eo"),
            ("Title\n\nbody\n#run_all #skip_security\n", &format!("{all}s")),
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
