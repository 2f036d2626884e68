//! When each node of a run was built, by thread, and the critical path of the run.
//!
//! The ledger records when a node began and how long it took; dbt's `run_results.json` also records the
//! thread. If that file is missing or belongs to another run, nodes are packed into as few lanes as possible.

use std::collections::{BTreeMap, HashMap};

/// Seconds by which the end of a node and the start of the next may seem to overlap.
const BLUR: f64 = 0.05;

/// A node at work. Seconds count from the start of the first node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) start: f64,
    pub(super) end: f64,
    /// dbt's name of the thread.
    pub(super) thread: Option<String>,
}

/// The lane of each span, and what the lanes are called.
#[derive(Debug, PartialEq)]
pub(super) struct Lanes {
    pub(super) of: Vec<usize>,
    pub(super) names: Vec<String>,
    /// Whether the lanes are dbt's threads, or packed.
    pub(super) are_threads: bool,
}

pub(super) fn lanes(spans: &[Span]) -> Lanes {
    let threads: Option<Vec<&str>> = spans.iter().map(|span| span.thread.as_deref()).collect();
    threads.map_or_else(|| pack(spans), |threads| by_thread(&threads))
}

fn by_thread(threads: &[&str]) -> Lanes {
    let mut ranks: BTreeMap<(usize, &str), usize> =
        threads.iter().map(|name| ((name.len(), *name), 0)).collect();
    for (lane, rank) in ranks.values_mut().enumerate() {
        *rank = lane;
    }
    let of = threads.iter().map(|name| ranks[&(name.len(), *name)]).collect();
    Lanes { of, names: (1..=ranks.len()).map(|n| format!("Thread {n}")).collect(), are_threads: true }
}

/// Assigns each span, by start, to the first free lane. A thread takes its next node within the error between
/// two clock readings.
fn pack(spans: &[Span]) -> Lanes {
    const SLACK: f64 = 0.002;
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by(|a, b| spans[*a].start.total_cmp(&spans[*b].start));
    let mut free_at: Vec<f64> = Vec::new();
    let mut of = vec![0; spans.len()];
    for i in order {
        let span = &spans[i];
        let lane = free_at.iter().position(|free| *free <= span.start + SLACK).unwrap_or_else(|| {
            free_at.push(0.0);
            free_at.len() - 1
        });
        free_at[lane] = span.end;
        of[i] = lane;
    }
    Lanes { of, names: (1..=free_at.len()).map(|n| format!("Lane {n}")).collect(), are_threads: false }
}

/// The chain of nodes that the end of the run waited for, first to last: from the node that ended last back
/// to the one it waited for longest, and so on. `waits_for` are places in `spans`.
///
/// A node that ended after another one began did not delay it, whatever the project's graph says: a test
/// gates only those models that depend on everything that it reads. Two clock readings may differ by
/// [`BLUR`].
pub(super) fn critical_path(spans: &[Span], waits_for: &[Vec<usize>]) -> Vec<usize> {
    let latest = |candidates: &mut dyn Iterator<Item = usize>| {
        candidates.max_by(|a, b| spans[*a].end.total_cmp(&spans[*b].end).then(b.cmp(a)))
    };
    let mut path = Vec::new();
    let mut seen = vec![false; spans.len()];
    let mut next = latest(&mut (0..spans.len()));
    while let Some(node) = next {
        seen[node] = true;
        path.push(node);
        let begun = spans[node].start + BLUR;
        next = latest(
            &mut waits_for[node].iter().copied().filter(|other| !seen[*other] && spans[*other].end <= begun),
        );
    }
    path.reverse();
    path
}

/// What each node waits for in a `dbt build`: its parents, and the tests that gate them. A test gates the
/// models below what it tests, but not other tests.
pub(super) fn waits_for(
    ids: &[&str],
    parents: &HashMap<&str, Vec<&str>>,
    is_test: impl Fn(usize) -> bool,
) -> Vec<Vec<usize>> {
    let place: HashMap<&str, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let none = Vec::new();
    let of = |i: usize| parents.get(ids[i]).unwrap_or(&none);
    let mut tests: HashMap<&str, Vec<usize>> = HashMap::new();
    for i in (0..ids.len()).filter(|i| is_test(*i)) {
        for tested in of(i) {
            tests.entry(tested).or_default().push(i);
        }
    }
    (0..ids.len())
        .map(|i| {
            let mut before: Vec<usize> = of(i).iter().filter_map(|id| place.get(id).copied()).collect();
            if !is_test(i) {
                before.extend(of(i).iter().filter_map(|id| tests.get(id)).flatten());
                // A unit test runs before the very model that it tests.
                let own = tests.get(ids[i]).into_iter().flatten();
                before.extend(own.filter(|test| ids[**test].starts_with("unit_test.")));
            } else if ids[i].starts_with("unit_test.") {
                // In dbt's terms its parent is the model, which is built afterwards: it waits for that model's inputs.
                let inputs = of(i).iter().filter_map(|model| parents.get(model)).flatten();
                before = inputs.filter_map(|id| place.get(id).copied()).collect();
            }
            before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: f64, end: f64) -> Span {
        Span { start, end, thread: None }
    }

    #[test]
    fn lanes_are_threads_where_all_are_known() {
        let on = |name: &str| Span { thread: Some(name.into()), ..span(0.0, 1.0) };
        let lanes = lanes(&[on("Thread-10 (worker)"), on("Thread-2 (worker)"), on("Thread-10 (worker)")]);
        assert_eq!(lanes.of, [1, 0, 1]);
        assert_eq!(lanes.names, ["Thread 1", "Thread 2"]);
        assert!(lanes.are_threads);
    }

    #[test]
    fn unknown_threads_are_packed_without_overlap() {
        let known = Span { thread: Some("Thread-1".into()), ..span(0.0, 3.0) };
        let lanes = lanes(&[known, span(1.0, 2.0), span(2.001, 4.0), span(3.0, 5.0)]);
        assert_eq!(lanes.of, [0, 1, 1, 0]);
        assert!(!lanes.are_threads);
    }

    #[test]
    fn the_critical_path_is_what_the_end_waited_for() {
        // 0 and 1 feed 2; 1 ended later; 3 runs beside them and ends before 2.
        let spans = [span(0.0, 1.0), span(0.0, 2.0), span(2.0, 5.0), span(0.0, 4.0)];
        assert_eq!(critical_path(&spans, &[vec![], vec![], vec![0, 1], vec![]]), [1, 2]);
        // A node that ended after the last node began did not delay it.
        assert_eq!(critical_path(&spans, &[vec![], vec![], vec![0, 3], vec![]]), [0, 2]);
        assert_eq!(critical_path(&[], &[]), Vec::<usize>::new());
    }

    #[test]
    fn a_cycle_ends() {
        let spans = [span(0.0, 0.0), span(0.0, 0.01)];
        assert_eq!(critical_path(&spans, &[vec![1], vec![0]]), [0, 1]);
    }

    #[test]
    fn a_model_waits_for_the_tests_of_its_parents_and_its_own_unit_tests() {
        let ids = ["model.a", "test.a", "model.b", "unit_test.b"];
        let parents = HashMap::from([
            ("test.a", vec!["model.a"]),
            ("model.b", vec!["model.a"]),
            ("unit_test.b", vec!["model.b"]),
        ]);
        let waits = waits_for(&ids, &parents, |i| ids[i].contains("test."));
        assert_eq!(waits, [vec![], vec![0], vec![0, 1, 3], vec![0]]);
    }
}
