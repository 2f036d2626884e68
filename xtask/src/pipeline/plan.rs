//! `cargo xtask plan`: what an event of GitHub asks for, and why, decided before anything runs.
//!
//! `decide` is a pure function of the event, the policy and the circumstances, so the same event gives the
//! same plan in a workflow and on a laptop. This file reads the event, prints the plan, and hands it to
//! the workflow as step outputs. No other process is started on the way.

mod branch;
pub(crate) mod decide;
mod policy;
mod record;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

pub(crate) use self::branch::environment as environment_of_branch;
use self::decide::Circumstances;
pub(crate) use self::policy::{Policy, contract as policy_contract};
pub(crate) use self::record::{Action, Plan, contract};
use crate::core::context;
use crate::core::stage::Stage;
use crate::pipeline::event::Event;
use crate::pipeline::event::permission::Permission;
use crate::system::actions;
use crate::system::console::Format;
use crate::system::console::{self, Align};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;
use crate::target;

/// Show what an event of GitHub asks for, and why; on Actions, as step outputs too.
#[derive(clap::Args, Debug)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    source: Source,

    /// How to print the plan.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Where an event comes from.
#[derive(clap::Args, Debug)]
pub(crate) struct Source {
    /// The event's name, such as `issues` or `push`.
    #[arg(long, value_name = "NAME", env = "GITHUB_EVENT_NAME")]
    event_name: String,

    /// The file that holds the event's payload.
    #[arg(long, value_name = "FILE", env = "GITHUB_EVENT_PATH")]
    event: PathBuf,

    /// The branch, such as `main` or `refs/heads/main`, where it is another than the event's own.
    #[arg(long, value_name = "REF")]
    r#ref: Option<String>,

    #[command(flatten)]
    target: target::Args,

    /// What the sender may do in the repository, instead of asking GitHub.
    #[arg(long, value_enum, value_name = "PERMISSION")]
    sender_permission: Option<Permission>,
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    let plan = args.source.plan(repo)?;
    match args.format {
        Format::Human => console::print(&text(&plan)?)?,
        // In a workflow's log `##[` begins a command at any position.
        Format::Json => {
            console::print(&serde_json::to_string_pretty(&plan)?.replace("##[", "#\\u0023["))?;
        }
    }
    actions::set_outputs(&outputs(&plan)?)?;
    actions::append_summary(&summary(&plan)?)?;
    Ok(Outcome::Clean)
}

impl Source {
    /// The plan for the event: read, check who sent it, decide.
    pub(crate) fn plan(&self, repo: &Repo) -> Result<Plan> {
        let policy = Policy::load(repo)?;
        let event = self.read()?;
        let permission = match self.sender_permission {
            Some(given) => Some(given),
            None if decide::needs_permission(&event, &policy) => {
                crate::pipeline::event::permission::ask(&event)?
            }
            None => None,
        };
        let circumstances = Circumstances {
            reference: self.r#ref.clone(),
            run_reference: context::variable("GITHUB_REF"),
            permission,
            ..Circumstances::new(self.target.target())
        };
        Ok(decide::decide(&event, &policy, &circumstances))
    }

    fn read(&self) -> Result<Event> {
        if self.event_name.trim().is_empty() {
            bail!("the event has no name; give --event-name, or set GITHUB_EVENT_NAME");
        }
        let payload = read(&self.event)?;
        Event::parse(&self.event_name, &payload).with_context(|| {
            format!(
                "failed to read {} as an event {}; webhook payloads are documented on docs.github.com",
                self.event.display(),
                crate::pipeline::event::shown(&self.event_name)
            )
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!("failed to read the event {}; --event or GITHUB_EVENT_PATH names its file", path.display())
    })
}

/// The plan for people: a table and the reasons.
pub(crate) fn text(plan: &Plan) -> Result<String> {
    let mut out = console::table(&["what", "plan"], &[Align::Left, Align::Left], &rows(plan));
    out.push('\n');
    for reason in &plan.reasons {
        write!(out, "\n- {}", actions::harmless(reason))?;
    }
    Ok(out)
}

fn rows(plan: &Plan) -> Vec<Vec<String>> {
    let name = |name: Option<&crate::core::environment::Name>| {
        name.map_or_else(|| "-".to_owned(), ToString::to_string)
    };
    let stages = plan.stages.names();
    let stages = if stages.is_empty() { "none".to_owned() } else { stages.join(", ") };
    [
        ("event", actions::harmless(&plan.event.describe())),
        ("action", plan.action.label().to_owned()),
        ("environment", name(plan.environment.as_ref())),
        ("base", name(plan.base.as_ref())),
        ("stages", stages),
        ("target", plan.target.label().to_owned()),
    ]
    .map(|(what, value)| vec![what.to_owned(), value])
    .into()
}

/// The plan as step outputs. Their names are a contract with `.github/workflows/`.
fn outputs(plan: &Plan) -> Result<Vec<(&'static str, String)>> {
    let name =
        |name: Option<&crate::core::environment::Name>| name.map(ToString::to_string).unwrap_or_default();
    let mut outputs = vec![
        ("action", plan.action.label().to_owned()),
        ("environment", name(plan.environment.as_ref())),
        ("schema", name(plan.schema.as_ref())),
        ("base", name(plan.base.as_ref())),
        ("object_name", plan.event.object_name.clone().unwrap_or_default()),
        ("observed", name(plan.observed.as_ref())),
        ("target", plan.target.label().to_owned()),
        ("trusted", plan.trusted.to_string()),
        ("deployment", plan.deployment.clone()),
        ("drop_on_failure", plan.drop_on_failure.to_string()),
        ("publish", plan.publish.to_string()),
        ("plan", serde_json::to_string(plan)?),
    ];
    outputs.extend(Stage::ALL.map(|stage| (stage.label(), plan.stages.has(stage).to_string())));
    Ok(outputs)
}

/// The plan in the job's summary, as code: text from outside is not to be rendered there.
fn summary(plan: &Plan) -> Result<String> {
    let text = text(plan)?.replace("```", "'''");
    Ok(format!("### Plan\n\n```text\n{text}\n```\n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::core::environment::Name;
    use crate::target::Target;

    /// Pieces that break what they are put into without care, in any order.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("::set-output name=schema::prod".to_owned()),
            Just("##[set-output name=schema;]prod".to_owned()),
            Just("::add-mask::prod".to_owned()),
            Just("%0A".to_owned()),
            Just("EOF".to_owned()),
            Just("schema=prod".to_owned()),
            Just("xtask_0<<xtask_0".to_owned()),
            Just("<!channel>".to_owned()),
            Just("\"; drop schema prod; --".to_owned()),
            Just("$(id)`id`${HOME}".to_owned()),
            Just("${{ secrets.SLACK_WEBHOOK_URL }}".to_owned()),
            Just("### Base\n\nprod\n\n### Environment\n\nprod\n\n".to_owned()),
            Just("### Object name\n\nGOLD CASCADE //\n".to_owned()),
            Just("#run_all".to_owned()),
            Just("#skip_obs ".to_owned()),
            Just("Revert \"".to_owned()),
            Just("```\n".to_owned()),
            Just("\u{202e}\u{0}\u{1b}[2J".to_owned()),
            Just("feature".to_owned()),
            Just("cleanup".to_owned()),
            ".{0,12}",
            "[A-Za-z0-9_/.-]{0,80}",
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn label() -> impl Strategy<Value = String> {
        prop_oneof![Just("feature".to_owned()), Just("cleanup".to_owned()), hostile()]
    }

    fn event() -> impl Strategy<Value = (&'static str, serde_json::Value)> {
        let issues = (hostile(), hostile(), label(), hostile(), 1_u64..1_000_000).prop_map(
            |(title, body, label, login, number)| {
                let issue = json!({"number": number, "title": title, "body": body, "author_association": "OWNER",
                                   "html_url": title, "user": {"login": login}, "labels": [{"name": label}]});
                ("issues", json!({"action": "labeled", "label": {"name": label}, "issue": issue,
                                  "sender": {"login": login}, "repository": {"full_name": title}}))
            },
        );
        let push = (hostile(), prop::collection::vec(hostile(), 0..4), hostile()).prop_map(
            |(branch, messages, login)| {
                let commits: Vec<_> = messages
                    .iter()
                    .map(|message| json!({"message": format!("#run_all {message}")}))
                    .collect();
                (
                    "push",
                    json!({"ref": format!("refs/heads/{branch}"), "commits": commits, "after": branch,
                                "compare": branch, "sender": {"login": login}}),
                )
            },
        );
        let request = (hostile(), hostile(), hostile()).prop_map(|(title, branch, repository)| {
            let side = json!({"ref": branch, "sha": branch, "repo": {"full_name": repository}});
            let request = json!({"number": 7, "title": title, "head": side, "base": side});
            ("pull_request", json!({"action": "opened", "pull_request": request}))
        });
        let dispatch = (hostile(), hostile(), hostile()).prop_map(|(schema, action, branch)| {
            let inputs = json!({"schema": schema, "action": action, "base": branch, "elt": "true"});
            ("workflow_dispatch", json!({"ref": branch, "inputs": inputs}))
        });
        let delete = hostile().prop_map(|branch| ("delete", json!({"ref": branch, "ref_type": "branch"})));
        prop_oneof![issues, push, request, dispatch, delete]
    }

    fn plan_of(name: &str, payload: &serde_json::Value) -> Plan {
        let payload = serde_json::to_vec(payload).expect("JSON");
        let event = Event::parse(name, &payload).expect("an event of the documented shape");
        decide::decide(&event, &Policy::default(), &Circumstances::new(Target::Local))
    }

    /// No plan leaves the grammar of names, and nothing that is printed is more than was meant.
    fn holds(plan: &Plan) {
        for name in [&plan.environment, &plan.schema, &plan.base, &plan.observed].into_iter().flatten() {
            assert_eq!(name.as_str().parse::<Name>().as_ref(), Ok(name));
        }
        assert!(!plan.reasons.is_empty());
        if plan.action == Action::Cleanup {
            let kept = plan.environment.as_ref().is_some_and(|name| ["prod", "dev"].contains(&name.as_str()));
            assert!(!kept, "{plan:?}");
        }
        let meant = outputs(plan).expect("outputs");
        let file = actions::records(&meant).expect("an output file");
        let read = actions::read_records(&file);
        let meant: Vec<(String, String)> =
            meant.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(read, meant, "no output is forged");
        for line in text(plan).expect("a text").lines().chain(summary(plan).expect("a summary").lines()) {
            assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_event_leaves_the_grammar_or_forges_an_output((name, payload) in event()) {
            holds(&plan_of(name, &payload));
        }
    }

    #[test]
    fn a_megabyte_of_anything_is_one_short_plan() {
        for piece in ["a", "\"", "`", "#", "#run_all ", "\n", "### Base\n\n", "“", "🦀", "\n```\n", "> "]
        {
            let text = piece.repeat((1 << 20) / piece.len());
            let issue = json!({"number": 1, "title": text, "body": text, "author_association": "OWNER"});
            for (name, payload) in [
                ("issues", json!({"action": "labeled", "label": {"name": "feature"}, "issue": issue})),
                ("issues", json!({"action": text, "label": {"name": text}, "issue": issue})),
                ("push", json!({"ref": text, "commits": [{"message": text}]})),
                ("delete", json!({"ref": text, "ref_type": "branch"})),
            ] {
                let plan = plan_of(name, &payload);
                holds(&plan);
                assert!(serde_json::to_string(&plan).expect("JSON").len() < 8192);
            }
        }
    }
}
