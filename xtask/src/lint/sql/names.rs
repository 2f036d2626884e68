//! Which of sqruff's rules about the names of tables have nothing to report on a file: each by itself would search
//! every select again, several times.
//!
//! One walk collects the tables and references of each select. Anything out of the ordinary (a table function, a
//! quoted alias, a subquery that may see the tables around it) leaves the rules to sqruff.

use std::collections::BTreeSet;

use sqruff_lib_core::dialects::syntax::{SyntaxKind, SyntaxSet};
use sqruff_lib_core::parser::segments::ErasedSegment;

const UNIQUE_ALIASES: &str = "AL04";
const UNUSED_ALIASES: &str = "AL05";
/// `references.from`: sqruff compares every reference with every other by their whole trees, which takes minutes on a
/// select of thousands of columns.
pub(super) const REFERENCES_FROM: &str = "RF01";
const QUALIFIED: &str = "RF02";
const CONSISTENT: &str = "RF03";

/// The rules that are evaluated here.
pub(super) const CODES: [&str; 5] = [UNIQUE_ALIASES, UNUSED_ALIASES, REFERENCES_FROM, QUALIFIED, CONSISTENT];

/// A select that is in no other, with all that is in it.
#[derive(Default)]
struct Select {
    tables: Vec<Table>,
    references: Vec<ErasedSegment>,
    /// Whether it has another select, or a table whose name is not certain.
    is_unusual: bool,
}

struct Table {
    name: String,
    is_aliased: bool,
}

/// Those of [`CODES`] that are certain to report nothing on the tree. `is_consistent`: whether the references of a select
/// with one table only have to be alike.
pub(super) fn silent(tree: &ErasedSegment, dialect: &str, is_consistent: bool) -> BTreeSet<&'static str> {
    // There, names with dots may be fields of a struct.
    if dialect == "bigquery" {
        return BTreeSet::new();
    }
    let mut outside = Vec::new();
    let mut selects = Vec::new();
    collect(tree, &mut outside, &mut selects);
    let is_usual = selects.iter().all(|select| !select.is_unusual);
    let references = || selects.iter().flat_map(|select| &select.references);

    let mut silent = BTreeSet::new();
    // sqruff looks for the table of references with a dot only.
    if outside.iter().chain(references()).all(|reference| !reference.raw().contains('.')) {
        silent.insert(REFERENCES_FROM);
    }
    if is_consistent && outside.is_empty() && selects.iter().all(Select::is_consistent) {
        silent.insert(CONSISTENT);
    }
    if is_usual && selects.iter().all(Select::has_unique_names) {
        silent.insert(UNIQUE_ALIASES);
        if selects.iter().all(Select::uses_aliases) {
            silent.insert(UNUSED_ALIASES);
        }
        if outside.is_empty() && selects.iter().all(Select::knows_tables) {
            silent.insert(REFERENCES_FROM);
        }
    }
    if is_usual && selects.iter().all(|select| select.tables.len() < 2) {
        silent.insert(QUALIFIED);
    }
    silent
}

impl Select {
    fn has_unique_names(&self) -> bool {
        let names: BTreeSet<String> = self.tables.iter().map(|table| table.name.to_uppercase()).collect();
        names.len() == self.tables.len()
    }

    /// Whether its references are all with a table or all without. A quoted name may contain a dot.
    fn is_consistent(&self) -> bool {
        let with = self.references.iter().filter(|reference| reference.raw().contains('.')).count();
        self.references.iter().all(is_plain) && (with == 0 || with == self.references.len())
    }

    /// The table before each reference with a dot; `None` if it has more than one.
    fn qualifiers(&self) -> impl Iterator<Item = Option<&str>> {
        let qualified = self.references.iter().filter(|reference| reference.raw().contains('.'));
        qualified.map(|reference| {
            let (table, column) = reference.raw().split_once('.')?;
            (!column.contains('.')).then_some(table)
        })
    }

    /// Whether each alias is written before a column, letter for letter.
    fn uses_aliases(&self) -> bool {
        let used: BTreeSet<&str> = self.qualifiers().flatten().collect();
        self.tables.iter().all(|table| !table.is_aliased || used.contains(table.name.as_str()))
    }

    /// Whether it has the table of each reference, letter for letter.
    fn knows_tables(&self) -> bool {
        let known: BTreeSet<&str> = self.tables.iter().map(|table| table.name.as_str()).collect();
        self.qualifiers().all(|table| table.is_some_and(|table| known.contains(table)))
    }
}

fn is_plain(reference: &ErasedSegment) -> bool {
    reference.raw().chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '*'))
}

/// The selects below `node`, and the references that are in none.
fn collect(node: &ErasedSegment, outside: &mut Vec<ErasedSegment>, selects: &mut Vec<Select>) {
    for part in node.segments() {
        if part.is_type(SyntaxKind::SelectStatement) {
            let mut select = Select::default();
            fill(part, &mut select);
            selects.push(select);
        } else if is_reference(part) {
            outside.push(part.clone());
        } else if part.descendant_type_set().intersects(const { &INTERESTING }) {
            collect(part, outside, selects);
        }
    }
}

const INTERESTING: SyntaxSet = SyntaxSet::new(&[
    SyntaxKind::SelectStatement,
    SyntaxKind::FromExpressionElement,
    SyntaxKind::ObjectReference,
    SyntaxKind::ColumnReference,
    SyntaxKind::TableReference,
    SyntaxKind::WildcardIdentifier,
]);

fn fill(node: &ErasedSegment, select: &mut Select) {
    for part in node.segments() {
        match part.get_type() {
            SyntaxKind::SelectStatement => select.is_unusual = true,
            SyntaxKind::FromExpressionElement => match table(part) {
                Some(table) => {
                    select.tables.push(table);
                    continue;
                }
                None => select.is_unusual = true,
            },
            _ => {}
        }
        if is_reference(part) {
            select.references.push(part.clone());
        } else if part.descendant_type_set().intersects(const { &INTERESTING }) {
            fill(part, select);
        }
    }
}

/// Whether it refers to columns, or to something that is not a table of a `from`: all these are of one class.
fn is_reference(segment: &ErasedSegment) -> bool {
    segment.class_types().contains(SyntaxKind::ObjectReference)
}

/// The table of a `from` or `join`, if it is a plain name with or without a plain alias.
fn table(element: &ErasedSegment) -> Option<Table> {
    let mut parts = element.segments().iter().filter(|part| part.is_code());
    let expression = parts.next().filter(|part| part.is_type(SyntaxKind::TableExpression))?;
    let mut inner = expression.segments().iter().filter(|part| part.is_code());
    let reference = inner.next().filter(|part| part.is_type(SyntaxKind::TableReference))?;
    let alias = parts.next();
    if inner.next().is_some() || parts.next().is_some() {
        return None;
    }
    let name = match alias {
        None => reference.segments().iter().rfind(|part| part.is_code())?,
        Some(alias) if alias.is_type(SyntaxKind::AliasExpression) => {
            alias.segments().iter().rfind(|part| part.is_code())?
        }
        Some(_) => return None,
    };
    let is_plain = name.is_type(SyntaxKind::NakedIdentifier);
    is_plain.then(|| Table { name: name.raw().to_string(), is_aliased: alias.is_some() })
}
