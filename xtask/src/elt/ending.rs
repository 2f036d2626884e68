//! What is made ready while dbt v2 ends: between the last node and the end of its process it writes its artifacts, closes
//! the database and gives back its memory, on one processor.

use std::path::Path;

use anyhow::Result;

use super::follow::Follower;
use super::parse_cache::{self, ParseCache};
use crate::dbt::artifacts::{Ahead, Manifest};
use crate::dbt::events::{Closing, Event};
use crate::dbt::runner::{Ended, Invocation};
use crate::target::Opened;
use crate::warehouse::Warehouse;

/// How dbt ended, with the manifest if it is read already.
pub(super) type Over = (Ended, Option<Ahead<Manifest>>);

pub(super) struct Ending<'a> {
    artifacts_folder: &'a Path,
    follower: &'a mut Follower,
    manifest: Option<Ahead<Manifest>>,
}

impl<'a> Ending<'a> {
    pub(super) fn new(artifacts_folder: &'a Path, follower: &'a mut Follower) -> Self {
        Self { artifacts_folder, follower, manifest: None }
    }

    /// Start dbt v2, see [`parse_cache::start`], and follow it to its end.
    pub(super) fn start(
        mut self,
        invocation: &Invocation,
        opened: &Opened,
        cache: Option<&ParseCache>,
        is_parsed: bool,
        warehouse: &mut dyn Warehouse,
    ) -> Result<Over> {
        let follow = |event: &Event| self.follow(event, warehouse);
        let ended = parse_cache::start(invocation, opened, cache, is_parsed, follow)?;
        Ok((ended, self.manifest))
    }

    fn follow(&mut self, event: &Event, warehouse: &mut dyn Warehouse) {
        self.follower.follow(event);
        match event.closing() {
            Some(Closing::Described) => {
                self.manifest = Some(Manifest::read_ahead(self.artifacts_folder));
                warehouse.warm_up_early();
            }
            Some(Closing::Completed) => warehouse.warm_up_to_write(),
            None => {}
        }
    }
}
