//! An environment as a copy of its base: a clone of the schema, or of its tables one by one.
//!
//! What reads other relations (views of both kinds, dynamic tables) would go on reading the base, so a copy leaves it to
//! dbt. External tables are never cloned by Snowflake.

use anyhow::{Result, anyhow, bail};

use super::grants::Record;
use super::relation::Form;
use super::statements::{self, Names};
use super::{Snowflake, grants, is_yes, rows, text};
use crate::core::environment::{Identifier, Name};
use crate::core::ledger;
use crate::warehouse::{Row, Statement, Warehouse as _};

impl Snowflake {
    /// The statements that make `schema` as a copy of `base`; `None` if there is no such base.
    pub(super) fn copied(&mut self, base: &Name, schema: &Name) -> Result<Option<Vec<Statement>>> {
        let found = self.query(&self.database.contents(&[base.as_str()], Names::Folded))?;
        let Some(first) = found.first() else { return Ok(None) };
        if is_yes(first, "schema_is_transient") && !self.database.is_transient(schema) {
            bail!(
                "{schema} is permanent and {base} is transient, and Snowflake copies no transient schema into a \
                 permanent one (002120); build {schema} without `--base`"
            );
        }
        // A clone carries the base's grants, which are not those of this kind of environment.
        let inherited = text(first, "comment").map(|comment| Record::of(&comment).granted());
        let inherited = inherited.unwrap_or_default();
        let declared = self.declared(schema);
        let mut change = if self.owns_all(&found) {
            let record = Record { applied: inherited.clone(), granting: declared.clone() };
            let mut change = vec![Statement::Sql(self.database.clone_schema(base, schema, &record))];
            change.extend(self.drop_readers(&statements::stored(schema), &found)?);
            change
        } else {
            let mut change = vec![Statement::Sql(self.database.create_schema(schema, &declared))];
            let between = (statements::stored(base), statements::stored(schema));
            change.extend(self.clone_tables(
                (&between.0, &between.1),
                self.database.is_transient(schema),
                &found,
                &[],
            )?);
            change
        };
        // Before the environment's first schema, so that it exists only with all the others.
        change.splice(0..0, self.copied_further(base, schema)?);
        change.push(Statement::Sql(self.database.ledger_tables(schema).0));
        let revoked = grants::revocations(&self.database.schema(schema.as_str()), &inherited, &declared);
        change.extend(revoked.into_iter().map(Statement::Sql));
        if !inherited.is_empty() {
            let comment = self.database.comment_on_schema(schema, &Record::announced(&declared));
            change.push(Statement::Sql(comment));
        }
        Ok(Some(change))
    }

    /// What completes a copy that was cut short.
    pub(super) fn completed_copy(&mut self, schema: &Name, base: Option<&Name>) -> Result<Vec<Statement>> {
        let names: Vec<&str> = std::iter::once(schema).chain(base).map(Name::as_str).collect();
        let found = self.query(&self.database.contents(&names, Names::Folded))?;
        let of = |name: &Name| -> Vec<Row> {
            let is_its = |row: &&Row| {
                text(row, "schema_name").is_some_and(|text| text.eq_ignore_ascii_case(name.as_str()))
            };
            found.iter().filter(is_its).cloned().collect()
        };
        let copied = of(schema);
        let mut change = self.drop_readers(&statements::stored(schema), &copied)?;
        if let Some(base) = base {
            let between = (statements::stored(base), statements::stored(schema));
            change.extend(self.clone_tables(
                (&between.0, &between.1),
                self.database.is_transient(schema),
                &of(base),
                &copied,
            )?);
        }
        Ok(change)
    }

    /// Whether all relations of `found` belong to the role of this session: a clone of a whole schema keeps
    /// their owners, and only an owner can rebuild a table or drop a view.
    pub(super) fn owns_all(&self, found: &[Row]) -> bool {
        let role = crate::core::policy::role_name(&self.settings.login.role);
        let mut owners = found.iter().filter_map(|row| text(row, "table_owner"));
        owners.all(|owner| owner == role)
    }

    /// Copy the tables of `base` one by one, without those that are `copied` already: what this role
    /// creates, it owns. The mark comes first, so that a copy that is cut short can be completed.
    pub(super) fn clone_tables(
        &self,
        (base, schema): (&str, &str),
        is_transient: bool,
        found: &[Row],
        copied: &[Row],
    ) -> Result<Vec<Statement>> {
        let mut tables = Vec::new();
        for (row, form) in found.iter().map(|row| (row, Form::of(row))).filter(|(_, form)| form.is_copied()) {
            let name = text(row, "table_name").unwrap_or_default();
            if copied.iter().any(|other| text(other, "table_name").as_deref() == Some(name.as_str())) {
                continue;
            }
            let is_mark = ledger::is_mark(&rows::folded(&name));
            let table: Identifier =
                name.try_into().map_err(|why: String| anyhow!("failed to copy a table of {base}: {why}"))?;
            let is_transient = is_transient || is_yes(row, "is_transient");
            let sql = self.database.clone_table(base, schema, &table, form, is_transient);
            tables.push((!is_mark, sql));
        }
        tables.sort();
        Ok(tables.into_iter().map(|(_, sql)| Statement::Sql(sql)).collect())
    }

    /// Drop what a clone carries that would go on reading the base. `found` is what the base or the clone contains.
    pub(super) fn drop_readers(&self, schema: &str, found: &[Row]) -> Result<Vec<Statement>> {
        let mut change = Vec::new();
        for (row, form) in found.iter().map(|row| (row, Form::of(row))) {
            if let (true, Some(relation)) = (form.reads_the_base(), text(row, "table_name")) {
                let relation: Identifier = relation.try_into().map_err(|why: String| {
                    anyhow!("failed to copy a {} into {schema}: {why}", form.words())
                })?;
                change.push(Statement::Sql(self.database.drop_relation(schema, &relation, form)));
            }
        }
        Ok(change)
    }
}
