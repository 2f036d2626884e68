//! Whether the person behind an event may provision: what GitHub says of them, or what the payload shows.
//!
//! A label can come from an outsider: an issue form sets its labels for any person who fills it in. The payload's
//! `author_association` is about the issue's author, while the person who added the label is the sender, so
//! GitHub's own answer about the sender comes first if a token allows the request.

use anyhow::{Context as _, Result};

use super::{Event, Issue, Sender};
use crate::system::github::{self, GitHub};

/// What an account may do in a repository, least first; GitHub's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Permission {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

/// Who is trusted without an answer from GitHub: `[permission]` of `policies/pipeline.toml`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust<'a> {
    pub(crate) associations: &'a [String],
    pub(crate) bots: &'a [String],
}

/// Whether the sender of an issue's event may provision, and why or why not.
pub(crate) fn decide(
    event: &Event,
    issue: &Issue,
    trust: Trust<'_>,
    known: Option<Permission>,
) -> std::result::Result<String, String> {
    let sender = event.sender.as_ref();
    if let Some(bot) = sender.filter(|sender| sender.is_bot) {
        return decide_on_bot(bot, trust);
    }
    let who = sender.map_or_else(|| "the sender".to_owned(), |sender| super::shown(&sender.login));
    match known {
        Some(permission) if permission >= Permission::Write => {
            return Ok(format!("{who} may write to the repository"));
        }
        Some(permission) => {
            return Err(format!(
                "{who} has no more than the permission to {} here, and provisioning needs write permission; a person \
                 with it can add the label",
                permission.verb()
            ));
        }
        None => {}
    }
    if sender.is_some_and(|sender| sender.is_owner) {
        return Ok(format!("{who} owns the repository"));
    }
    // Only people with triage permission can label another person's issue, so apart from the author's
    // association nothing in the payload speaks against another sender.
    let association = &issue.association;
    if trust.associations.iter().any(|trusted| trusted.eq_ignore_ascii_case(association)) {
        return Ok(format!("the issue's author is {} of the repository", super::shown(association)));
    }
    let author = issue.author.as_deref().map_or_else(|| "its author".to_owned(), super::shown);
    Err(format!(
        "the issue is by {author}, which the payload calls {}, and without a token GitHub was not asked what {who} may do; \
         set GITHUB_TOKEN, or have a person with write permission add the label",
        super::shown(association)
    ))
}

fn decide_on_bot(bot: &Sender, trust: Trust<'_>) -> std::result::Result<String, String> {
    let who = super::shown(&bot.login);
    if trust.bots.contains(&bot.login) {
        Ok(format!("{who} is a trusted bot of policies/pipeline.toml"))
    } else {
        Err(format!(
            "{who} is an app or a workflow, which may act for a person without permission; [permission] bots in \
             policies/pipeline.toml lists those that may provision"
        ))
    }
}

/// What GitHub says of the sender, if a workflow's token allows the request. A missing answer is an error:
/// a sender is neither admitted nor rejected because GitHub was down.
pub(crate) fn ask(event: &Event) -> Result<Option<Permission>> {
    let Some(sender) = event.sender.as_ref().filter(|sender| !sender.is_bot) else { return Ok(None) };
    let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
    if !is_set("GITHUB_TOKEN") || !is_set("GITHUB_REPOSITORY") {
        return Ok(None);
    }
    let answer = GitHub::from_env().and_then(|github| github.permission(&sender.login));
    let permission = answer.with_context(|| {
        format!("failed to ask GitHub what {} may do in the repository", super::shown(&sender.login))
    })?;
    Ok(Some(permission.into()))
}

/// GitHub answers with the four roles that there have always been: triage counts as read, maintain as write.
impl From<github::Permission> for Permission {
    fn from(answer: github::Permission) -> Self {
        match answer {
            github::Permission::None => Self::None,
            github::Permission::Read => Self::Read,
            github::Permission::Write => Self::Write,
            github::Permission::Admin => Self::Admin,
        }
    }
}

impl Permission {
    fn verb(self) -> &'static str {
        match self {
            Self::None => "look on",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "administer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::Subject;

    fn may(sender: &str, kind: &str, author: &str, association: &str, known: Option<Permission>) -> bool {
        let json = format!(
            r#"{{"action": "labeled", "label": {{"name": "feature"}},
                 "issue": {{"number": 1, "user": {{"login": "{author}"}}, "author_association": "{association}"}},
                 "repository": {{"full_name": "acme/x", "owner": {{"login": "acme"}}}},
                 "sender": {{"login": "{sender}", "type": "{kind}"}}}}"#
        );
        let event = Event::parse("issues", json.as_bytes()).expect("an event");
        let Subject::Issue(issue) = &event.subject else { panic!("an issue") };
        let associations = ["OWNER", "MEMBER", "COLLABORATOR"].map(str::to_owned);
        let bots = ["planner[bot]".to_owned()];
        decide(&event, issue, Trust { associations: &associations, bots: &bots }, known).is_ok()
    }

    #[test]
    fn what_github_says_of_the_sender_comes_first() {
        for (permission, expected) in [
            (Permission::None, false),
            (Permission::Read, false),
            (Permission::Triage, false),
            (Permission::Write, true),
            (Permission::Maintain, true),
            (Permission::Admin, true),
        ] {
            assert_eq!(may("ann", "User", "ann", "MEMBER", Some(permission)), expected, "{permission:?}");
            assert_eq!(may("ann", "User", "out", "NONE", Some(permission)), expected, "{permission:?}");
        }
    }

    #[test]
    fn without_an_answer_the_payload_decides() {
        for association in ["OWNER", "MEMBER", "COLLABORATOR"] {
            assert!(may("ann", "User", "ann", association, None));
        }
        for association in ["NONE", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "MANNEQUIN", ""] {
            assert!(!may("out", "User", "out", association, None));
            assert!(may("acme", "User", "out", association, None), "the owner needs no association");
        }
    }

    #[test]
    fn a_bot_acts_for_whoever_made_it_act() {
        assert!(!may("labeler[bot]", "Bot", "ann", "OWNER", None));
        assert!(!may("labeler", "Bot", "ann", "OWNER", Some(Permission::Admin)));
        assert!(may("planner[bot]", "Bot", "out", "NONE", None));
    }
}
