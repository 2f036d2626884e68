//! A build, the close of its issue or pull request, the clean-up that follows, a cancellation and the next commit, in
//! every order in which their steps can meet. The steps of the build and their conditions are those of `elt.yml`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::expression::{self, Context};
use super::yaml;
use crate::support::root;

/// What other runs and people do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Close,
    /// The job that drops what was closed; it comes any time after.
    CleanUp,
    /// A person cancels the build, or the next commit of a pull request does.
    Cancel,
}

#[derive(Clone, Debug, Default)]
struct World {
    is_closed: bool,
    /// The commit that the environment was built from.
    environment: Option<u8>,
}

/// A build on its way.
#[derive(Default)]
struct Build {
    commit: u8,
    outputs: BTreeMap<String, Value>,
    is_cancelled: bool,
}

impl Context for Build {
    fn lookup(&self, path: &[String]) -> Value {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["inputs", "target"] => "snowflake".into(),
            ["steps", id, "outputs", "wanted"] => self.outputs.get(*id).cloned().unwrap_or(Value::Null),
            _ => panic!("{path:?} is unknown here"),
        }
    }

    fn status(&self, function: &str) -> bool {
        match function {
            "cancelled" => self.is_cancelled,
            "success" => !self.is_cancelled,
            _ => false,
        }
    }
}

impl Build {
    fn step(&mut self, step: &Value, world: &mut World) {
        if !expression::condition(step.get("if"), self) {
            return;
        }
        let line = step["run"].as_str().unwrap();
        if line.starts_with("cargo xtask wanted") {
            let id = step["id"].as_str().unwrap().to_owned();
            self.outputs.insert(id, (!world.is_closed).to_string().into());
        } else if line.starts_with("cargo xtask elt") {
            world.environment = Some(self.commit);
        } else if line.starts_with("cargo xtask schema drop") {
            world.environment = None;
        } else {
            panic!("what does {line} do?");
        }
    }
}

/// The steps of a build that run a command.
fn steps() -> Vec<Value> {
    let workflow = yaml::read(&root().join(".github/workflows/elt.yml"));
    let steps = workflow["jobs"]["build"]["steps"].as_array().unwrap();
    let steps: Vec<Value> = steps.iter().filter(|step| step["run"].is_string()).cloned().collect();
    assert_eq!(steps.len(), 4);
    steps
}

/// All ways to put `events`, in their order, between `steps` steps: before which step each comes.
fn places(events: usize, steps: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..events {
        let longer = |known: Vec<usize>| {
            let first = known.last().copied().unwrap_or(0);
            (first..=steps).map(move |place| [known.clone(), vec![place]].concat()).collect::<Vec<_>>()
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// Runs builds one after the other, as their concurrency group has them, with events before some steps.
fn play(builds: u8, events: &[(usize, Event)]) -> World {
    let steps = steps();
    let (mut world, mut at) = (World::default(), 0);
    for commit in 1..=builds {
        let mut build = Build { commit, ..Build::default() };
        for step in &steps {
            for (_, event) in events.iter().filter(|(place, _)| *place == at) {
                happen(*event, &mut world, &mut build);
            }
            build.step(step, &mut world);
            at += 1;
        }
        for (_, event) in events.iter().filter(|(place, _)| commit == builds && *place == at) {
            happen(*event, &mut world, &mut build);
        }
    }
    world
}

fn happen(event: Event, world: &mut World, build: &mut Build) {
    match event {
        Event::Close => world.is_closed = true,
        Event::CleanUp => world.environment = None,
        Event::Cancel => build.is_cancelled = true,
    }
}

#[test]
fn what_is_closed_leaves_nothing_in_whatever_order_things_happen() {
    let mut played = 0;
    for close in places(2, 4) {
        let closed = [(close[0], Event::Close), (close[1], Event::CleanUp)];
        for cancel in 0..=5 {
            // At 5 no run is cancelled.
            for at in 0..=closed.len() {
                let mut events = closed.to_vec();
                events.insert(at, (cancel, Event::Cancel));
                events.sort_by_key(|(place, _)| *place);
                let world = play(1, &events);
                assert_eq!(world.environment, None, "an orphan after {events:?}");
                played += 1;
            }
        }
    }
    // A second commit takes the place of the first while it is built, at any step of it.
    for close in places(2, 8) {
        for cancel in 0..4 {
            let mut events =
                vec![(cancel, Event::Cancel), (close[0], Event::Close), (close[1], Event::CleanUp)];
            events.sort_by_key(|(place, _)| *place);
            let world = play(2, &events);
            assert_eq!(world.environment, None, "an orphan after {events:?}");
            played += 1;
        }
    }
    assert!(played > 400, "{played}");
}

#[test]
fn the_newest_commit_is_built_whenever_it_takes_the_place_of_another() {
    assert_eq!(play(1, &[]).environment, Some(1));
    for cancel in 0..4 {
        assert_eq!(play(2, &[(cancel, Event::Cancel)]).environment, Some(2), "{cancel}");
    }
    // A build that was cancelled by a person leaves what was there, or what it made.
    assert_eq!(play(1, &[(0, Event::Cancel)]).environment, None);
    assert_eq!(play(1, &[(2, Event::Cancel)]).environment, Some(1));
}
