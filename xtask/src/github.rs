//! `cargo xtask github`: set up the repository on GitHub, so that the workflows find what they need.
//!
//! Each concern (labels, environments, the ruleset, …) is a file that reads what is there and decides what is to be
//! done, as data; `apply` makes the calls. So `--dry-run` cannot differ from a real run, a second run has nothing to do,
//! and `cargo xtask doctor --github` reports the very same differences.

mod actions;
mod apply;
mod connect;
mod environments;
mod given;
mod labels;
mod repository;
mod review;
mod ruleset;
mod settings;
mod subject;
mod wanted;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use self::given::{Input, Known};
use self::repository::Repository;
pub(crate) use self::review::{Review, Step, Weight};
use self::settings::{Found, Given};
use self::wanted::Wanted;
use crate::system::console;
use crate::system::console::Format;
use crate::system::contract::Contract;
use crate::system::github::{Error, GitHub};
use crate::system::outcome::Outcome;
use crate::system::repo::Repo;

/// Set up the repository on GitHub.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Create what the workflows need: labels, environments limited to their branches, variables, secrets, the ruleset
    /// that requires the check `gate`, and Pages.
    ///
    /// What is there already is left alone, so it may run again at any time. Reviewers and variables may also be listed
    /// in policies/github.toml. The token is that of `GH_TOKEN` or `GITHUB_TOKEN`, else that of `gh auth login`.
    Setup(Setup),
}

#[derive(clap::Args)]
struct Setup {
    #[command(flatten)]
    place: Place,

    /// A variable, such as `SNOWFLAKE_ACCOUNT=ORG-ACCOUNT`, or `prod.SNOWFLAKE_USER=DEPLOYER` for one environment; may
    /// be given again.
    #[arg(long, value_name = "[ENVIRONMENT.]NAME=VALUE")]
    variable: Vec<String>,

    /// Set one secret to what standard input holds, such as `prod.SNOWFLAKE_PRIVATE_KEY` or `SLACK_WEBHOOK_URL`. A
    /// secret of Snowflake without an environment goes to all of them.
    #[arg(long, value_name = "[ENVIRONMENT.]NAME", conflicts_with = "secrets")]
    secret: Option<String>,

    /// Set the secrets that standard input holds, as lines of `NAME=value` or as a JSON object.
    #[arg(long)]
    secrets: bool,

    /// Print what would be done, and do none of it.
    #[arg(long)]
    dry_run: bool,

    /// How to print the steps of a dry run.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Which repository.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// The repository on GitHub; by default the remote `origin`.
    #[arg(long, value_name = "OWNER/NAME", env = "GITHUB_REPOSITORY")]
    repository: Option<String>,
}

/// The schemas of its output and of its policy.
pub(crate) fn contracts() -> [Contract; 2] {
    [review::contract(), wanted::contract()]
}

pub(crate) fn run(args: &Args, repo: &Repo) -> Result<Outcome> {
    match &args.command {
        Command::Setup(args) => set_up(args, repo),
    }
}

fn set_up(args: &Setup, repo: &Repo) -> Result<Outcome> {
    let wanted = Wanted::read(repo)?;
    let (github, is_on_github_com) = args.place.connect(repo)?;
    let repository = Repository::read(&github)?;
    if repository.may_administrate() == Some(false) && !args.dry_run {
        bail!(
            "the token's account is not an administrator of {}; log in as one (gh auth login), or have one run it",
            repository.full_name()
        );
    }
    let input = match (&args.secret, args.secrets) {
        (Some(name), _) => Input::One(name),
        (None, true) => Input::Several,
        (None, false) => Input::None,
    };
    let given = wanted.given(&args.variable, input, &repository)?;
    let look = || look(&github, &repository, &wanted, &given, is_on_github_com);
    let steps: Vec<Step> = look()?.into_iter().flat_map(|review| review.steps).collect();
    if args.dry_run {
        return print_plan(&steps, args.format);
    }
    let problems = apply::apply(&github, &steps)?;
    // What GitHub took is not yet what it does: it is looked at again.
    let left = look()?;
    // A secret cannot be compared: that it was taken is all there is to know.
    let is_secret = |step: &Step| matches!(step.body, review::Body::Secret(_));
    let differs = left.iter().flat_map(|review| &review.steps).filter(|step| !is_secret(step));
    let mut open: Vec<String> = problems;
    for step in differs {
        if !open.iter().any(|known| known.starts_with(&step.title)) {
            open.push(format!("{}: GitHub accepted it, and it is not so", step.title));
        }
    }
    for remark in left.iter().flat_map(|review| &review.remarks) {
        tracing::warn!("{}; {}", remark.what, remark.advice);
    }
    if !open.is_empty() {
        bail!("{} steps are not done:\n{}", open.len(), open.join("\n"));
    }
    console::print(&if steps.is_empty() {
        format!("{} is set up; nothing was to be done", repository.full_name())
    } else {
        format!("{} is set up", repository.full_name())
    })?;
    Ok(Outcome::Clean)
}

fn print_plan(steps: &[Step], format: Format) -> Result<Outcome> {
    match format {
        Format::Json => console::print_json(&steps)?,
        Format::Human if steps.is_empty() => console::print("nothing is to be done")?,
        Format::Human => {
            for step in steps {
                console::print(&format!("would {}", step.title))?;
            }
        }
    }
    Ok(Outcome::Clean)
}

/// All concerns of the repository, for `doctor --github`.
pub(crate) fn examine(place: &Place, repo: &Repo) -> Result<Vec<Review>> {
    let wanted = Wanted::read(repo)?;
    let (github, is_on_github_com) = place.connect(repo)?;
    let repository = Repository::read(&github)?;
    let given = wanted.given(&[], Input::None, &repository)?;
    look(&github, &repository, &wanted, &given, is_on_github_com)
}

impl Place {
    fn connect(&self, repo: &Repo) -> Result<(GitHub, bool)> {
        let given = self.repository.as_deref().map(str::trim).filter(|text| !text.is_empty());
        connect::connect(repo.root(), given)
    }
}

impl Wanted {
    /// Variables of the policy and of the command line, whose own win, and secrets of standard input.
    fn given(&self, variables: &[String], input: Input<'_>, repository: &Repository) -> Result<Given> {
        let environments: BTreeSet<String> =
            self.environments(&repository.default_branch)?.into_keys().collect();
        let all: Vec<String> = self.variables.iter().chain(variables).cloned().collect();
        let known = Known {
            environments: &environments,
            variables: &self.used.variables,
            secrets: &self.used.secrets,
        };
        given::read(&all, input, &known)
    }
}

/// Looks at every concern. One that cannot be read says so, and the others are looked at all the same.
fn look(
    github: &GitHub,
    repository: &Repository,
    wanted: &Wanted,
    given: &Given,
    is_on_github_com: bool,
) -> Result<Vec<Review>> {
    let environments = wanted.environments(&repository.default_branch)?;
    let names: BTreeSet<String> = environments.keys().cloned().collect();
    let there = environments::names(github);
    let settings = there.and_then(|there| settings::read(github, &(&there & &names)));
    let nothing = Found::default();
    let found = settings.as_ref().unwrap_or(&nothing);
    let is_true =
        |name: &str| found.variable(given, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_on_snowflake = found.variable(given, settings::ACCOUNT).is_some();
    let read =
        |name, review: Result<Review, Error>| review.unwrap_or_else(|error| Review::unread(name, &error));
    let of_settings = |name, decide: fn(&Found, &Given, &BTreeSet<String>) -> Review| match &settings {
        Ok(found) => decide(found, given, &names),
        Err(error) => Review::unread(name, error),
    };
    Ok(vec![
        repository.review(wanted.pipeline.settled_branches()),
        read("actions", actions::look(github, &wanted.used.actions)),
        read("workflow permissions", actions::look_at_token(github)),
        read("labels", labels::look(github, &wanted.labels)),
        read("environments", environments::look(github, &environments)),
        of_settings("variables", settings::variables),
        of_settings("secrets", settings::secrets),
        read("ruleset", ruleset::look(github, &repository.default_branch, is_on_github_com)),
        read("pages", repository::look_at_pages(github, repository, is_true("PUBLISH_PAGES"))),
        repository.code_scanning(is_true("CODE_SCANNING")),
        read(
            "oidc subject",
            subject::look(github, repository, names.iter().map(String::as_str), is_on_snowflake),
        ),
    ])
}
