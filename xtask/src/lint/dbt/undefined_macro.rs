//! A call of a macro that does not exist.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::core::finding::{Group, Severity, Span};
use crate::dbt::graph::Project;
use crate::dbt::graph::jinja::{self, Piece, Token};
use crate::lint::nearest::nearest;
use crate::lint::rule::{Offence, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "undefined-macro",
    group: Group::Dbt,
    severity: Severity::High,
    summary: "A template calls a macro that neither the project, nor its packages, nor dbt has.",
    why: "dbt parses the project without an error and fails when it compiles the model. Bare names are macros of the \
          project and of dbt; macros of a package are called with its name. For declared packages that are \
          not installed nothing is reported.",
    example: "```sql\nselect {{ cent('amount') }} as amount     -- the macro is called cents\n```\n\n```sql\nselect {{ \
              cents('amount') }} as amount\nselect {{ dbt_utils.star(ref('orders')) }}   -- with the package's name\n```",
    remedy: "correct the name, or write the package before it",
};

/// The macros of dbt and its adapters.
static OF_DBT: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../../dbt/graph/dbt_macros.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

/// Functions of dbt and Jinja that every template can call by a bare name.
const FUNCTIONS: &[&str] = &[
    "ref",
    "source",
    "config",
    "var",
    "env_var",
    "doc",
    "metric",
    "return",
    "log",
    "print",
    "debug",
    "run_query",
    "statement",
    "load_result",
    "load_relation",
    "store_result",
    "store_raw_result",
    "write",
    "render",
    "zip",
    "zip_strict",
    "set",
    "set_strict",
    "tojson",
    "fromjson",
    "toyaml",
    "fromyaml",
    "local_md5",
    "diff_of_two_dicts",
    "is_incremental",
    "should_full_refresh",
    "should_store_failures",
    "caller",
    "range",
    "dict",
    "lipsum",
    "cycler",
    "joiner",
    "namespace",
    "super",
    "self",
    "loop",
    "builtins",
    "adapter_macro",
    "submit_python_job",
    "sql",
    "get_columns_in_relation",
    "function",
    "unit_test",
    "validation",
    "try_or_compiler_error",
    "list",
    "tuple",
    "int",
    "str",
    "float",
    "bool",
    "len",
    "selected_resources",
    "partition_by",
    "column",
    "model",
    "this",
    "target",
    "context",
    "execute",
    "call",
];

/// Objects of dbt and Jinja with callable attributes.
const OBJECTS: &[&str] = &[
    "adapter",
    "api",
    "exceptions",
    "modules",
    "var",
    "config",
    "target",
    "this",
    "model",
    "graph",
    "flags",
    "builtins",
    "context",
    "loop",
    "kwargs",
    "varargs",
    "self",
    "log",
    "dbt_metadata_envs",
    "database",
    "schema",
    "run_started_at",
    "invocation_args_dict",
    "selected_resources",
    "pre_hooks",
    "post_hooks",
    "load_result",
    "dbt_version",
    "project_name",
    "node",
    "sql",
    "caller",
    "validation",
    "Relation",
    "column",
    "results",
    "ref",
    "source",
    "compiled_code",
    "thread_id",
    "invocation_id",
    "env_var",
    "statement",
    "true",
    "false",
    "none",
    "relation",
    "defer_relation",
    "metric",
    "exposure",
    "namespace",
];

pub(super) fn check(project: &Project<'_>) -> Vec<Offence> {
    let own: HashSet<&str> = project.macros.iter().map(|each| each.name).collect();
    let mut offences: Vec<Offence> = Vec::new();
    let mut report = |path: &str, locals: &HashSet<&str>, name: &str, span: Span| {
        if let Some(message) = undefined(project, &own, locals, name, offences.len()) {
            offences.push(RULE.offence(path, span, message));
        }
    };
    for node in project.nodes.iter().filter(|node| node.is_rendered()) {
        let locals = locals(node.text);
        for called in node.template.calls.iter().filter(|called| called.call.is_looked_up) {
            report(node.path, &locals, &called.call.name, called.span);
        }
    }
    for each in project.macros.iter().filter(|each| each.is_reached && !is_of_another_adapter(each.name)) {
        let locals = locals(each.text);
        for (name, span, _) in &each.called {
            report(each.path, &locals, name, *span);
        }
    }
    offences
}

/// An implementation for an adapter that this project may not use.
fn is_of_another_adapter(name: &str) -> bool {
    name.split_once("__").is_some_and(|(adapter, _)| adapter != "default")
}

fn undefined(
    project: &Project<'_>,
    own: &HashSet<&str>,
    locals: &HashSet<&str>,
    name: &str,
    before: usize,
) -> Option<String> {
    let Some((first, rest)) = name.split_once('.') else {
        let base = name.rsplit_once("__").map_or(name, |(_, base)| base);
        let is_known = own.contains(name)
            || locals.contains(name)
            || OF_DBT.contains(base)
            || FUNCTIONS.contains(&name)
            || OBJECTS.contains(&name);
        let near = || nearest(name, before, own.iter().copied());
        return (!is_known).then(|| format!("no macro is named `{name}`{}", near()));
    };
    let called = rest.split('.').next().unwrap_or_default();
    if locals.contains(first) || OBJECTS.contains(&first) || FUNCTIONS.contains(&first) || own.contains(first)
    {
        return None;
    }
    if first == "dbt"
        || first.starts_with("dbt_") && !project.installed.has_package(first) && is_adapter(first)
    {
        let base = called.rsplit_once("__").map_or(called, |(_, base)| base);
        let is_known = OF_DBT.contains(base) || FUNCTIONS.contains(&called);
        return (!is_known).then(|| format!("dbt has no macro `{called}`"));
    }
    if Some(first) == project.name() {
        return (!own.contains(called)).then(|| format!("this project has no macro `{called}`"));
    }
    match project.installed.macro_of(first, called) {
        Some(true) => None,
        Some(false) => Some(format!("the package `{first}` has no macro `{called}`")),
        None if !project.installed.is_complete => None,
        None => Some(format!("`{first}` is neither a package of this project nor a variable")),
    }
}

/// The packages of adapters come with dbt, not with `packages.yml`.
fn is_adapter(package: &str) -> bool {
    const ADAPTERS: &[&str] = &[
        "dbt_snowflake",
        "dbt_duckdb",
        "dbt_postgres",
        "dbt_redshift",
        "dbt_bigquery",
        "dbt_spark",
        "dbt_databricks",
        "dbt_trino",
        "dbt_athena",
        "dbt_clickhouse",
    ];
    ADAPTERS.contains(&package)
}

/// Names that the template itself defines or tests for: assignments, loop variables, parameters, imports.
fn locals(text: &str) -> HashSet<&str> {
    let mut found = HashSet::new();
    for piece in jinja::pieces(text) {
        let (Piece::Statement(inner) | Piece::Output(inner)) = piece else { continue };
        let is_statement = text[..inner.start].ends_with('%');
        let words = jinja::tokens(text, inner.clone(), false);
        let keyword = if is_statement { jinja::keyword(&text[inner]) } else { "" };
        let makes = matches!(
            keyword,
            "set"
                | "for"
                | "macro"
                | "call"
                | "with"
                | "import"
                | "from"
                | "test"
                | "data_test"
                | "materialization"
                | "snapshot"
        );
        for (at, (token, _)) in words.iter().enumerate() {
            let Token::Name(name) = token else { continue };
            let after = words.get(at + 1).map(|(token, _)| token);
            let is_made = makes && after != Some(&Token::Mark('(')) || makes && keyword == "macro" && at <= 1;
            if is_made || after == Some(&Token::Name("is")) {
                found.insert(*name);
            }
        }
    }
    found
}
