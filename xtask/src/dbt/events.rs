//! dbt's structured log: one JSON object per line, of which a few fields matter here.
//!
//! Unknown events and fields are passed over: dbt adds to them in every release.

use serde::Deserialize;

/// A line of dbt's log.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    info: Info,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Info {
    name: String,
    level: String,
    msg: String,
    #[serde(default)]
    ts: String,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default)]
    node_info: Option<NodeInfo>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    total: Option<u64>,
    #[serde(default)]
    execution_time: Option<f64>,
    #[serde(default)]
    num_failures: Option<i64>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct NodeInfo {
    #[serde(default)]
    pub(crate) unique_id: String,
    #[serde(default)]
    pub(crate) node_name: String,
    #[serde(default)]
    pub(crate) resource_type: String,
    #[serde(default)]
    pub(crate) node_started_at: String,
}

/// What an event means to someone who follows a run.
#[derive(Debug, PartialEq)]
pub(crate) enum Progress<'a> {
    Started {
        node: &'a NodeInfo,
        total: u64,
    },
    Finished(Finished<'a>),
    /// Something went wrong outside any node: the project does not parse, the warehouse is away.
    Problem(&'a str),
    /// A deprecation, an unused configuration: outside any node too.
    Warning(&'a str),
    /// What dbt would like to say; it matters only to those who ask.
    Remark(&'a str),
}

/// How far dbt v2 is with what it does when all nodes have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The manifest is written.
    Described,
    /// The database is closed and nothing is left to be done but to end.
    Completed,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Finished<'a> {
    pub(crate) node: &'a NodeInfo,
    /// dbt's own word: success, error, pass, warn, fail, skipped.
    pub(crate) status: String,
    pub(crate) seconds: Option<f64>,
    pub(crate) failures: Option<i64>,
    pub(crate) total: u64,
    /// When it was said (UTC).
    pub(crate) at: &'a str,
}

impl Event {
    /// `None` for a line that is not a dbt event, such as a Python warning.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    pub(crate) fn progress(&self) -> Progress<'_> {
        let node = self.data.node_info.as_ref().filter(|node| !node.unique_id.is_empty());
        match (self.info.name.as_str(), node, self.data.index) {
            ("LogStartLine", Some(node), _) => Progress::Started { node, total: self.total() },
            ("SkippingDetails" | "LogSkipBecauseError", Some(node), _) => {
                Progress::Finished(self.finished(node, "skipped".to_owned()))
            }
            // Every result line of dbt v1 gives its node's position in the total, and those of v2 have distinct names;
            // summaries at the end have neither.
            (name, Some(node), index)
                if self.data.status.is_some() && (index.is_some() || is_result(name)) =>
            {
                Progress::Finished(self.finished(node, self.status()))
            }
            (_, None, _) if self.info.level == "error" => Progress::Problem(self.info.msg.trim()),
            (_, None, _) if self.info.level == "warn" => Progress::Warning(self.info.msg.trim()),
            _ => Progress::Remark(self.info.msg.trim()),
        }
    }

    pub(crate) fn closing(&self) -> Option<Closing> {
        match (self.info.name.as_str(), self.data.artifact_type.as_deref()) {
            ("ArtifactWritten", Some("WritableManifest")) => Some(Closing::Described),
            ("CommandCompleted", _) => Some(Closing::Completed),
            _ => None,
        }
    }

    fn finished<'a>(&'a self, node: &'a NodeInfo, status: String) -> Finished<'a> {
        Finished {
            node,
            status,
            seconds: self.data.execution_time,
            failures: self.data.num_failures,
            total: self.total(),
            at: &self.info.ts,
        }
    }

    /// The first word, in lower case: adapters put their own answer (`INSERT 5`, `OK`) where others put
    /// `success`.
    fn status(&self) -> String {
        let word =
            self.data.status.as_deref().unwrap_or_default().split_whitespace().next().unwrap_or_default();
        match word.to_ascii_lowercase().as_str() {
            known @ ("error" | "fail" | "pass" | "warn" | "skipped" | "no-op") => known.to_owned(),
            _ if self.info.level == "error" => "error".to_owned(),
            _ => "success".to_owned(),
        }
    }

    /// 0 where dbt does not say, as v2 never does.
    fn total(&self) -> u64 {
        self.data.total.unwrap_or_default()
    }
}

/// `LogModelResult`, `LogTestResult` and so on.
fn is_result(event: &str) -> bool {
    event.starts_with("Log") && event.ends_with("Result")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, level: &str, data: &serde_json::Value) -> Event {
        let line = serde_json::json!({"info": {"name": name, "level": level, "msg": " said "}, "data": data});
        Event::parse(&line.to_string()).expect("an event")
    }

    fn node() -> serde_json::Value {
        serde_json::json!({"unique_id": "model.p.a", "node_name": "a", "resource_type": "model", "meta": {}})
    }

    #[test]
    fn results_are_told_in_dbts_own_words_whatever_the_adapter_answers() {
        for (status, level, word) in [
            ("OK", "info", "success"),
            ("INSERT 5", "info", "success"),
            ("ERROR", "error", "error"),
            ("FAIL 3", "error", "fail"),
            ("pass", "info", "pass"),
            ("no-op", "info", "no-op"),
            ("Some new word", "error", "error"),
        ] {
            let data = serde_json::json!({"node_info": node(), "index": 2, "total": 9, "status": status});
            let event = event("LogModelResult", level, &data);
            match event.progress() {
                Progress::Finished(finished) => assert_eq!(finished.status, word),
                other => panic!("{other:?}"),
            }
        }
    }

    /// As dbt v2 writes it: no index, and a mark beside it that is not a result.
    #[test]
    fn results_of_dbt_v2_are_results() {
        let data = serde_json::json!({"node_info": node(), "status": "skipped", "execution_time": 0.1});
        let event = event("LogModelResult", "info", &data);
        assert!(matches!(event.progress(), Progress::Finished(finished) if finished.status == "skipped"));
        let mark = serde_json::json!({"unique_id": "model.p.a", "status": "skipped"});
        let event = self::event("MarkSkippedChildren", "debug", &mark);
        assert!(matches!(event.progress(), Progress::Remark(_)));
    }

    #[test]
    fn the_end_of_dbt_v2_is_seen_in_two_steps() {
        let closing =
            |name, kind: &str| event(name, "info", &serde_json::json!({"artifact_type": kind})).closing();
        assert_eq!(closing("ArtifactWritten", "ARTIFACT_TYPE_SEMANTIC_MANIFEST"), None);
        assert_eq!(closing("ArtifactWritten", "WritableManifest"), Some(Closing::Described));
        let completed = event("CommandCompleted", "info", &serde_json::json!({"success": true}));
        assert_eq!(completed.closing(), Some(Closing::Completed));
    }

    #[test]
    fn errors_outside_nodes_are_problems() {
        let event = event("MainEncounteredError", "error", &serde_json::json!({"exc": "x"}));
        assert_eq!(event.progress(), Progress::Problem("said"));
    }

    #[test]
    fn other_lines_are_no_events() {
        assert!(Event::parse("Traceback (most recent call last):").is_none());
        assert!(Event::parse("{}").is_none());
    }
}
