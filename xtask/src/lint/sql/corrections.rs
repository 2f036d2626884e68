//! sqlfluff's verdict on findings of sqruff, for the rules in which the two differ.
//!
//! sqruff is a port of sqlfluff's rules. A project that moves from sqlfluff expects the same findings, so the known
//! differences are corrected here, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sqruff_lib_core::dialects::syntax::SyntaxKind;
use sqruff_lib_core::parser::segments::ErasedSegment;

use super::config::Config;
use super::policy::{File, all, place, plain};
use super::style::Violation;
use super::trace::{Origin, Rendering};
use super::{Role, star_in_final_query};

/// Removes the findings that sqlfluff does not have, and adds those that sqruff lacks. `rules` are those that are on.
pub(super) fn correct(
    found: &mut Vec<Violation>,
    tree: &ErasedSegment,
    source: &str,
    rendering: &Rendering,
    (config, dialect, rules): (&Config, &str, &[&str]),
) {
    if dialect == "snowflake" && rules.contains(&KEYWORDS) {
        found.extend(missing_keywords(tree, config));
    }
    if rules.contains(&START_OF_FILE) {
        found.retain(|each| each.rule != START_OF_FILE);
        found.extend(leading_space(source, rendering));
    }
    if found.iter().any(|each| each.rule == INDENT) {
        let joined = joined_blocks(source, rendering);
        found.retain(|each| each.rule != INDENT || !joined.iter().any(|block| block.contains(&each.start)));
    }
    if ["mysql", "mariadb"].contains(&dialect) {
        // There `convert(a, signed)` is not a cast: its type would not be valid in one.
        let converts = |each: &Violation| {
            source
                .get(each.start..)
                .and_then(|rest| rest.get(..7))
                .is_some_and(|word| word.eq_ignore_ascii_case("convert"))
        };
        found.retain(|each| each.rule != "convention.casting_style" || !converts(each));
    }
    let has = |rules: &[&str], found: &[Violation]| found.iter().any(|each| rules.contains(&each.rule));
    let by_policy = POLICIES.map(|(rule, ..)| rule);
    if has(&by_policy, found) {
        let names = Identifier::of(tree);
        found.retain(|each| !by_policy.contains(&each.rule) || is_of_policy(each, &names, source, config));
    }
    if has(&["aliasing.unused"], found) && folds(dialect) != Fold::Strict {
        let qualifiers = qualifiers(tree, folds(dialect));
        found.retain(|each| {
            let alias = source.get(each.start..each.end).unwrap_or_default();
            each.rule != "aliasing.unused" || !qualifiers.contains(&folds(dialect).of(alias))
        });
    }
}

const KEYWORDS: &str = "references.keywords";
const START_OF_FILE: &str = "layout.start_of_file";
const INDENT: &str = "layout.indent";

/// sqlfluff takes these for keywords of Snowflake, sqruff does not.
const OF_SNOWFLAKE: [&str; 60] = [
    "AGGREGATION_CONSTRAINT",
    "ALGORITHM",
    "ALLOWED_SECONDARY_ROLES",
    "ANOMALY_DETECTION",
    "API_AUTHENTICATION",
    "ARCHIVE_FOR_DAYS",
    "ARCHIVE_TIER",
    "ARGS",
    "ARN",
    "AWS",
    "BLOCKED_SECONDARY_ROLES",
    "BRANCHES",
    "CLOUD_PROVIDER_TOKEN",
    "COLD",
    "COOL",
    "DATA_QUALITY_NOTIFICATION",
    "ENVIRONMENT",
    "ENV_VARS",
    "EXPECTATION",
    "GCP",
    "GENERIC",
    "GENERIC_STRING",
    "GIT",
    "GIT_CREDENTIALS",
    "INHERITED",
    "INITIALIZE",
    "ISSUER",
    "MAIN_FILE",
    "OAUTH2",
    "OAUTH_REFRESH_TOKEN",
    "OAUTH_REFRESH_TOKEN_EXPIRY_TIME",
    "OAUTH_SCOPES",
    "OIDC",
    "OIDC_AUDIENCE_LIST",
    "ORIGIN",
    "PROJECTION_CONSTRAINT",
    "PROJECT_ROOT",
    "QUERY_WAREHOUSE",
    "REFRESH_MODE",
    "REPOSITORIES",
    "REPOSITORY",
    "ROOT_LOCATION",
    "ROW_TIMESTAMP_DEFAULT",
    "SECRET",
    "SECRET_STRING",
    "SEMANTIC",
    "SENSITIVITY",
    "SESSION_IDLE_TIMEOUT_MINS",
    "SESSION_MAX_LIFESPAN_MINS",
    "SESSION_UI_IDLE_TIMEOUT_MINS",
    "SESSION_UI_MAX_LIFESPAN_MINS",
    "STARTED",
    "STREAMLIT",
    "STREAMLITS",
    "SUBJECT",
    "SYMMETRIC_KEY",
    "TRIGGERS",
    "USERNAME",
    "WORKLOAD_IDENTITY",
    "WRITEBACK",
];

/// Aliases that are keywords which sqruff does not know.
fn missing_keywords(tree: &ErasedSegment, config: &Config) -> Vec<Violation> {
    let ignored = config.of_rule(KEYWORDS, "ignore_words").unwrap_or_default().to_lowercase();
    let is_ignored = |word: &str| ignored.split(',').any(|each| each.trim() == word);
    let names = all(tree, SyntaxKind::NakedIdentifier).into_iter().filter(|name| {
        OF_SNOWFLAKE.contains(&name.raw().to_uppercase().as_str()) && !is_ignored(&name.raw().to_lowercase())
    });
    names
        .map(|name| {
            let range = place(&name);
            Violation {
                start: range.start,
                end: range.end,
                rule: KEYWORDS,
                message: "Keywords should not be used as identifiers.".to_owned(),
            }
        })
        .collect()
}

/// White space before everything else, also if a tag follows, which sqruff takes for content.
fn leading_space(source: &str, rendering: &Rendering) -> Option<Violation> {
    let is_trimmed = rendering.slices.first().is_some_and(|slice| slice.origin == Origin::Trimmed);
    let starts_blank = source.starts_with(char::is_whitespace) && !source.trim().is_empty();
    (starts_blank && !is_trimmed).then(|| Violation {
        start: 0,
        end: 1,
        rule: START_OF_FILE,
        message: "Files must not begin with newlines or whitespace.".to_owned(),
    })
}

/// The blocks of a template in which white space control removes line breaks: code then begins in the middle of a rendered
/// line, from which sqruff measures the indents of all lines that follow.
fn joined_blocks(source: &str, rendering: &Rendering) -> Vec<Range<usize>> {
    let mut tags: BTreeMap<usize, Origin> = BTreeMap::new();
    for slice in &rendering.slices {
        if matches!(slice.origin, Origin::BlockStart | Origin::BlockEnd) {
            tags.insert(slice.source.start, slice.origin);
        }
    }
    let mut blocks = Vec::new();
    let mut open = Vec::new();
    for (at, origin) in tags {
        if origin == Origin::BlockStart {
            open.push(at);
        } else if let Some(start) = open.pop() {
            blocks.push(start..at);
        }
    }
    let breaks = rendering
        .slices
        .iter()
        .filter(|slice| slice.origin == Origin::Trimmed && source[slice.source.clone()].contains('\n'));
    let innermost = breaks.filter_map(|slice| {
        blocks.iter().filter(|block| block.contains(&slice.source.start)).min_by_key(|block| block.len())
    });
    innermost.cloned().collect()
}

/// Rules with a policy for the identifiers that they apply to: the default for unquoted and for quoted ones.
const POLICIES: [(&str, &str, &str); 3] = [
    (KEYWORDS, "aliases", "none"),
    ("references.special_chars", "all", "all"),
    ("capitalisation.identifiers", "all", "all"),
];

/// The place of an identifier in the tree.
struct Identifier {
    /// Whether its parent is an alias, a column definition or a WITH clause.
    is_alias: bool,
    /// Whether it belongs to a FROM clause rather than to a list of columns.
    is_inside_from: bool,
}

impl Identifier {
    /// The identifiers by their start in the template.
    fn of(tree: &ErasedSegment) -> BTreeMap<usize, Self> {
        let mut found = BTreeMap::new();
        let mut open = vec![(tree.clone(), false, false)];
        while let Some((segment, is_alias, is_inside_from)) = open.pop() {
            let kind = segment.get_type();
            if matches!(kind, SyntaxKind::NakedIdentifier | SyntaxKind::QuotedIdentifier) {
                found.insert(place(&segment).start, Self { is_alias, is_inside_from });
                continue;
            }
            let names = matches!(
                kind,
                SyntaxKind::AliasExpression
                    | SyntaxKind::ColumnDefinition
                    | SyntaxKind::WithCompoundStatement
            );
            let is_inside_from = match kind {
                SyntaxKind::SelectClause => false,
                SyntaxKind::FromClause => true,
                _ => is_inside_from,
            };
            open.extend(segment.segments().iter().map(|inner| (inner.clone(), names, is_inside_from)));
        }
        found
    }
}

/// Whether the rule's policy includes the identifier. sqruff takes everything below a WITH clause for an alias, and so
/// reports the names of common table expressions.
fn is_of_policy(
    found: &Violation,
    names: &BTreeMap<usize, Identifier>,
    source: &str,
    config: &Config,
) -> bool {
    let Some((rule, unquoted, quoted)) = POLICIES.iter().find(|(rule, ..)| *rule == found.rule) else {
        return true;
    };
    let Some(name) = names.get(&found.start) else { return true };
    let is_quoted = source[found.start..].starts_with(['"', '`', '[', '\'']);
    let (key, usual) = if is_quoted {
        ("quoted_identifiers_policy", quoted)
    } else {
        ("unquoted_identifiers_policy", unquoted)
    };
    let policy = config.of_rule(rule, key).unwrap_or(usual).to_ascii_lowercase();
    match policy.as_str() {
        "none" => false,
        "aliases" => name.is_alias,
        "column_aliases" => name.is_alias && !name.is_inside_from,
        "table_aliases" => name.is_alias && name.is_inside_from,
        _ => true,
    }
}

/// How a dialect compares identifiers of which one is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    /// A quoted name keeps its case and an unquoted one is folded: sqruff decides.
    Strict,
    /// Quotes make no difference, and case counts.
    Exact,
    /// Neither makes a difference.
    Ignored,
}

impl Fold {
    fn of(self, name: &str) -> String {
        let bare = name.trim_matches(['"', '`', '[', ']', '\'']);
        if self == Self::Ignored { bare.to_lowercase() } else { bare.to_owned() }
    }
}

fn folds(dialect: &str) -> Fold {
    match dialect {
        "athena" | "bigquery" | "databricks" | "duckdb" | "flink" | "hive" | "sparksql" | "sqlite"
        | "teradata" | "trino" | "tsql" | "vertica" => Fold::Ignored,
        "clickhouse" | "mysql" | "mariadb" => Fold::Exact,
        _ => Fold::Strict,
    }
}

/// The names before a dot, folded.
fn qualifiers(tree: &ErasedSegment, fold: Fold) -> BTreeSet<String> {
    let raw = tree.get_raw_segments();
    let code: Vec<&ErasedSegment> =
        raw.iter().filter(|segment| segment.is_code() && !segment.raw().is_empty()).collect();
    code.windows(2).filter(|pair| pair[1].raw() == ".").map(|pair| fold.of(pair[0].raw())).collect()
}

/// Whether a common table expression reads itself, directly or through others: sqruff's search for the columns of a `*`
/// never ends then. In dbt a source may have the name of the CTE that reads it, since only the template is short.
pub(super) fn reads_itself(tree: &ErasedSegment) -> bool {
    let mut reads: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for cte in all(tree, SyntaxKind::CommonTableExpression) {
        let Some(name) = cte.segments().iter().find(|part| part.is_code()) else { continue };
        let tables = all(&cte, SyntaxKind::TableReference);
        reads.entry(plain(name)).or_default().extend(tables.iter().map(plain));
    }
    let mut edges: Vec<&str> = Vec::new();
    reads.keys().any(|start| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        edges.clear();
        edges.push(start);
        while let Some(name) = edges.pop() {
            for next in reads.get(name).into_iter().flatten() {
                if next == start {
                    return true;
                }
                if seen.insert(next) {
                    edges.push(next);
                }
            }
        }
        false
    })
}

/// A `*` of the last query whose columns the file does not name: sqruff cannot look for them if a CTE reads itself.
pub(super) fn unknown_star(tree: &ErasedSegment, rendering: &Rendering) -> Option<Range<usize>> {
    star_in_final_query::unnamed(&File::new(Role::Model, tree, rendering)).into_iter().next()
}
