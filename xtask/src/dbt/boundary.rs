//! What dbt may write: decided before it writes anything, from what it says that it will write.
//!
//! dbt writes to the relations of its manifest, and those follow from the project: a fixed
//! `generate_schema_name`, a `database` setting or the location of an external file can lead out of the
//! environment that was asked for, into prod. Pure: relations and the environment go in, reasons come out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::core::environment::{Name, member};
use crate::warehouse::quote;

/// A relation that dbt is about to write.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Intended {
    pub(crate) id: String,
    /// The file that defines it, relative to the project.
    pub(crate) file: String,
    pub(crate) database: Option<String>,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its whole name as dbt writes it in SQL: with or without quotes.
    pub(crate) relation_name: Option<String>,
    pub(crate) materialized: Option<String>,
    /// The file that an external model is written to, if the project names one.
    pub(crate) location: Option<String>,
}

/// The environment that a run may write to.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    pub(crate) schema: Name,
    /// The database's name, as the engine gives it.
    pub(crate) database: String,
    pub(crate) extent: Extent,
    /// The folder of external files, and the folder that relative locations start from.
    pub(crate) files: Option<(PathBuf, PathBuf)>,
}

/// Which schemas of the database belong to the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of them: the database is the environment's alone.
    Database,
    /// The schema of the environment's name, and those whose names go on with `_` after it.
    Family,
}

/// A relation outside the environment, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    relation: String,
    file: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Database,
    Schema,
    Location,
}

impl Intended {
    /// Whether it is a file, with a view on it.
    pub(crate) fn is_external(&self) -> bool {
        self.materialized.as_deref() == Some("external")
    }

    /// The schema's name as Snowflake keeps it: in upper case, unless the project quotes it.
    fn stored_schema(&self) -> String {
        let quoted = format!("{}.", quote(&self.schema));
        match &self.relation_name {
            Some(name) if name.contains(&quoted) => self.schema.clone(),
            _ => self.schema.to_uppercase(),
        }
    }
}

impl Boundary {
    pub(crate) fn outside(&self, intended: &[Intended]) -> Vec<Outside> {
        let outside = |each: &Intended| {
            let reason = self.reason(each)?;
            let relation = match (&each.location, reason) {
                (Some(location), Reason::Location) => location.clone(),
                _ => [each.database.as_deref().unwrap_or_default(), &each.schema, &each.name]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("."),
            };
            Some(Outside { relation, file: each.file.clone(), reason })
        };
        intended.iter().filter_map(outside).collect()
    }

    fn reason(&self, each: &Intended) -> Option<Reason> {
        if each
            .database
            .as_deref()
            .is_some_and(|name| !name.is_empty() && !name.eq_ignore_ascii_case(&self.database))
        {
            return Some(Reason::Database);
        }
        if self.extent == Extent::Family && member(&each.schema, self.schema.as_str()).is_none() {
            return Some(Reason::Schema);
        }
        let location = each.location.as_deref()?;
        (!self.holds_file(location)).then_some(Reason::Location)
    }

    /// The schemas beside the environment's own that are going to be written, by the names that Snowflake keeps.
    pub(crate) fn further(&self, intended: &[Intended]) -> BTreeSet<String> {
        let own = self.schema.as_str().to_uppercase();
        let schemas = intended.iter().map(Intended::stored_schema);
        schemas.filter(|schema| self.extent == Extent::Family && *schema != own).collect()
    }

    /// In the folder of the environment's files, or below a folder of the environment's name: then another
    /// environment writes another file.
    fn holds_file(&self, location: &str) -> bool {
        let Some((folder, start)) = &self.files else { return true };
        let path = normal(&start.join(location));
        let is_named = |part: Component<'_>| part.as_os_str().eq_ignore_ascii_case(self.schema.as_str());
        path.starts_with(folder)
            || location.contains("://") && location.split('/').any(|part| part == self.schema.as_str())
            || Path::new(location).components().any(is_named)
    }

    /// The error of a run that would write elsewhere.
    pub(crate) fn refusal(&self, outside: &[Outside]) -> String {
        const SHOWN: usize = 20;
        let mut text = format!(
            "nothing was built, because {} of the project's relations are outside the environment {}:",
            outside.len(),
            self.schema
        );
        for each in outside.iter().take(SHOWN) {
            let _ = write!(text, "\n  {}  ({})", each.relation, each.file);
        }
        if outside.len() > SHOWN {
            let _ = write!(text, "\n  … and {} more", outside.len() - SHOWN);
        }
        let mut reasons: Vec<Reason> = outside.iter().map(|each| each.reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let _ = write!(text, "\n{}", self.advice(reason));
        }
        text
    }

    fn advice(&self, reason: Reason) -> String {
        match reason {
            Reason::Database => format!(
                "Environments of this target are in the database {}: remove the `database` setting (+database in \
                 dbt_project.yml, config(database=…), or a generate_database_name macro). Other databases can be read \
                 as sources.",
                self.database
            ),
            Reason::Schema => "The schema's name must begin with the target's: a generate_schema_name macro that \
                 returns the custom name alone builds every environment into the same schema. Remove the macro, or use\n\
                 \x20   {% macro generate_schema_name(custom_schema_name, node) -%}\n\
                 \x20       {{ target.schema }}{{ '_' ~ custom_schema_name | trim if custom_schema_name }}\n\
                 \x20   {%- endmacro %}"
                .to_owned(),
            Reason::Location => "A fixed `location` is one file for all environments: remove it (files are then written \
                 to the folder of the environment), or put {{ env_var('XTASK_ENVIRONMENT', target.schema) }} in it as a folder."
                .to_owned(),
        }
    }
}

/// `path` without `.` and `..`, by its text alone.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut done, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(done.pop()),
            part => done.push(part),
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boundary(extent: Extent) -> Boundary {
        Boundary {
            schema: "issue_7".parse().expect("a name"),
            database: "shop".to_owned(),
            extent,
            files: Some((PathBuf::from("/w/issue_7.files"), PathBuf::from("/r/dbt"))),
        }
    }

    fn table(database: &str, schema: &str) -> Intended {
        Intended {
            database: Some(database.to_owned()),
            schema: schema.to_owned(),
            name: "t".to_owned(),
            ..Intended::default()
        }
    }

    #[track_caller]
    fn assert_inside(extent: Extent, intended: &Intended, is_inside: bool) {
        let outside = boundary(extent).outside(std::slice::from_ref(intended));
        assert_eq!(outside.is_empty(), is_inside, "{intended:?}: {outside:?}");
    }

    #[test]
    fn a_family_begins_with_the_name_of_the_environment() {
        for (database, schema, is_inside) in [
            ("shop", "issue_7", true),
            ("SHOP", "ISSUE_7_RAW", true),
            ("shop", "issue_71", false),
            ("shop", "prod", false),
            ("shop", "raw", false),
            ("other", "issue_7", false),
        ] {
            assert_inside(Extent::Family, &table(database, schema), is_inside);
        }
    }

    #[test]
    fn further_schemas_are_named_as_snowflake_keeps_them() {
        let boundary = boundary(Extent::Family);
        let of = |schema: &str, relation: Option<&str>| Intended {
            relation_name: relation.map(str::to_owned),
            ..table("shop", schema)
        };
        for (schema, relation, expected) in [
            ("ISSUE_7", Some("shop.ISSUE_7.t"), None),
            ("issue_7", None, None),
            ("ISSUE_7_raw", Some("shop.ISSUE_7_raw.t"), Some("ISSUE_7_RAW")),
            ("ISSUE_7_raw", Some("shop.\"ISSUE_7_raw\".t"), Some("ISSUE_7_raw")),
            ("ISSUE_7_raw", None, Some("ISSUE_7_RAW")),
            ("issue_7", Some("shop.\"issue_7\".t"), Some("issue_7")),
        ] {
            let found: Vec<String> = boundary.further(&[of(schema, relation)]).into_iter().collect();
            assert_eq!(
                found,
                expected.map(str::to_owned).into_iter().collect::<Vec<_>>(),
                "{schema} {relation:?}"
            );
        }
        let alone = Boundary { extent: Extent::Database, ..boundary };
        assert!(alone.further(&[of("raw", None)]).is_empty());
    }

    #[test]
    fn a_database_of_one_environment_holds_any_schema() {
        assert_inside(Extent::Database, &table("shop", "raw"), true);
        assert_inside(Extent::Database, &table("attached", "raw"), false);
    }

    #[test]
    fn external_files_belong_to_one_environment() {
        for (location, is_inside) in [
            ("/w/issue_7.files/a.parquet", true),
            ("../exports/issue_7/a.parquet", true),
            ("s3://bucket/issue_7/a.parquet", true),
            ("s3://bucket/a.parquet", false),
            ("a.parquet", false),
            ("/w/issue_7.files/../prod.files/a.parquet", false),
        ] {
            let external = Intended { location: Some(location.to_owned()), ..table("shop", "issue_7") };
            assert_inside(Extent::Database, &external, is_inside);
        }
    }

    #[test]
    fn a_refusal_lists_relations_and_the_macro_to_use() {
        let boundary = boundary(Extent::Family);
        let text = boundary.refusal(&boundary.outside(&[table("shop", "prod"), table("shop", "issue_7")]));
        assert!(text.contains("1 of the project's relations") && text.contains("shop.prod.t"), "{text}");
        assert!(text.contains("macro generate_schema_name") && !text.contains("location"), "{text}");
    }
}
