//! Two repositories in one account have the figures that each has alone: queries, failures, credits and storage.

use serde_json::{Value, json};

use super::values;
use crate::support::endpoint::Endpoint;
use crate::support::{Checkout, Ended};

const DATABASES: [&str; 3] = ["LOGISTICS_DEMO", "FINANCE_DEMO", "SNOWFLAKE"];

/// A repository and where its environment `dev` is.
struct Repository {
    checkout: Checkout,
    database: &'static str,
    project: &'static str,
    selection: &'static str,
    credits: f64,
    ends_with: i32,
}

impl Repository {
    /// It builds one seed.
    fn ours() -> Self {
        let checkout = Checkout::slim();
        std::fs::remove_dir_all(checkout.path("dbt/models/monitoring")).expect("a folder");
        checkout.edit("dbt/models/bronze/stg_logistics__suppliers.yml", |_| "version: 2\n".to_owned());
        let (database, project) = (DATABASES[0], "logistics");
        Self { checkout, database, project, selection: "raw_suppliers", credits: 1.5, ends_with: 0 }
    }

    /// Another one, which has a model that fails too.
    fn other(database: &'static str) -> Self {
        let ours = Self::ours();
        let broken = "select no_such_column from {{ ref('raw_suppliers') }}\n";
        std::fs::write(ours.checkout.path("dbt/models/bronze/broken.sql"), broken)
            .expect("a writable folder");
        Self { database, selection: "raw_suppliers broken", credits: 40.0, ends_with: 1, ..ours }
    }

    /// The same with another name of its dbt project.
    fn renamed(self, project: &'static str) -> Self {
        let renamed = |text: String| {
            text.replace("logistics.", &format!("{project}.")).replace("'logistics'", &format!("'{project}'"))
        };
        for folder in ["dbt/macros", "dbt/models", "dbt/tests"] {
            let files = std::fs::read_dir(self.checkout.path(folder)).into_iter().flatten().flatten();
            let mut open: Vec<_> = files.map(|file| file.path()).collect();
            while let Some(path) = open.pop() {
                if path.is_dir() {
                    open.extend(
                        std::fs::read_dir(&path).expect("a folder").flatten().map(|file| file.path()),
                    );
                } else if path.extension().is_some_and(|end| end == "sql") {
                    let text = std::fs::read_to_string(&path).expect("text");
                    std::fs::write(&path, renamed(text)).expect("a writable file");
                }
            }
        }
        self.checkout.edit("dbt/dbt_project.yml", |text| {
            text.replace("name: logistics", &format!("name: {project}"))
                .replace("  logistics:", &format!("  {project}:"))
        });
        Self { project, ..self }
    }

    fn run(&self, endpoint: &Endpoint, role: &str, args: &[&str]) -> Ended {
        let mut command = endpoint.command(&self.checkout, args);
        command.env("SNOWFLAKE_DATABASE", self.database).env("SNOWFLAKE_ROLE", role).env("DBT_THREADS", "1");
        // A slow machine prolongs no lock: that would be one statement more.
        command.env("XTASK_SNOWFLAKE_LEASE", "36000");
        Ended::of(command)
    }

    fn build(&self, endpoint: &Endpoint) {
        let elt = ["elt", "--schema", "dev", "--select", self.selection];
        self.run(endpoint, "BUILDER", &elt).expect(self.ends_with);
    }

    /// The credits of its build, as a row of `query_attribution_history`.
    fn attributed(&self) -> String {
        let tag = json!({"tool": "xtask", "environment": "dev", "database": self.database, "project": self.project});
        format!("('{tag}', current_timestamp(), {}, 'q1')", self.credits)
    }

    fn measured(&self, endpoint: &Endpoint) -> Vec<Value> {
        let report = ["metrics", "--schema", "dev", "--format", "json"];
        let report = self.run(endpoint, "ACCOUNTADMIN", &report).expect(0).json();
        let figures = values(
            &report,
            [
                "queries",
                "failed_queries",
                "runs",
                "run_success_rate",
                "tests",
                "relation_rows",
                "storage_bytes",
                "credits",
            ],
        );
        figures.to_vec()
    }
}

/// An account where everything is readable that the figures come from, with the credits of these repositories. The
/// database of the first one has a registry, which the first environment of a database makes.
fn account(repositories: &[&Repository]) -> Endpoint {
    let endpoint = Endpoint::with_databases(&DATABASES);
    let credits: Vec<String> = repositories.iter().map(|repository| repository.attributed()).collect();
    endpoint.sql_as(
        "ACCOUNTADMIN",
        &format!(
            "create schema snowflake.account_usage;;
             create table snowflake.account_usage.query_attribution_history
                 (query_tag varchar, start_time timestamp_ltz, credits_attributed_compute double, query_id varchar);;
             insert into snowflake.account_usage.query_attribution_history values {};;
             create table snowflake.account_usage.query_history
                 (query_id varchar, start_time timestamp_ltz, query_text varchar);;
             create table snowflake.account_usage.warehouse_metering_history
                 (start_time timestamp_ltz, warehouse_name varchar, credits_used double)",
            credits.join(", ")
        ),
    );
    repositories[0].run(&endpoint, "BUILDER", &["schema", "create", "--schema", "issue_9"]).expect(0);
    endpoint
}

fn alone(repository: &Repository) -> Vec<Value> {
    let endpoint = account(&[repository]);
    repository.build(&endpoint);
    repository.measured(&endpoint)
}

/// Projects of one name differ by their databases, those of one database by their names: the history keeps the queries
/// of a project that had an environment of this name in this database before.
#[test]
fn repositories_of_one_account_have_the_figures_that_each_has_alone() {
    let ours = Repository::ours();
    let neighbour = Repository::other(DATABASES[1]);
    let predecessor = Repository::other(DATABASES[0]).renamed("finance");
    let expected = [alone(&ours), alone(&neighbour)];
    assert_eq!((&expected[0][1], &expected[0][7]), (&json!(0), &json!(1.5)), "{expected:?}");
    assert!(expected[1][1].as_i64() > Some(0) && expected[1][7] == 40.0, "the other one fails: {expected:?}");

    let endpoint = account(&[&ours, &neighbour, &predecessor]);
    neighbour.run(&endpoint, "BUILDER", &["schema", "create", "--schema", "issue_9"]).expect(0);
    predecessor.build(&endpoint);
    endpoint.sql(
        "drop schema LOGISTICS_DEMO.DEV cascade;;
         delete from LOGISTICS_DEMO.XTASK_REGISTRY.ENVIRONMENTS where schema_name = 'dev'",
    );
    ours.build(&endpoint);
    neighbour.build(&endpoint);
    let tagged = |entry: &&Value| {
        let tag: Option<Value> = entry["query_tag"].as_str().and_then(|tag| serde_json::from_str(tag).ok());
        tag.is_some_and(|tag| tag["environment"] == "dev" && tag["project"] == "finance")
    };
    assert!(endpoint.history().iter().filter(tagged).count() > 5, "the predecessor has queries");
    assert_eq!(ours.measured(&endpoint), expected[0], "ours");
    assert_eq!(neighbour.measured(&endpoint), expected[1], "the neighbour's");
}
