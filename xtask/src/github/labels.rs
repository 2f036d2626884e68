//! The labels that start and end environments. Labels that the repository has besides are left alone.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::review::{Body, Review};
use crate::system::github::{Error, GitHub};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Label {
    pub(super) name: String,
    #[serde(default)]
    pub(super) color: String,
    #[serde(default)]
    pub(super) description: Option<String>,
}

pub(super) fn look(github: &GitHub, wanted: &[Label]) -> Result<Review, Error> {
    Ok(review(&github.read_all(&["labels"], None)?, wanted))
}

/// GitHub compares the names of labels without regard to case, so "Feature" is the label "feature".
fn review(found: &[Label], wanted: &[Label]) -> Review {
    let names: Vec<&str> = wanted.iter().map(|label| label.name.as_str()).collect();
    let mut review = Review::new("labels", names.join(", "));
    for label in wanted {
        let body = json!({"name": label.name, "color": label.color, "description": label.description});
        match found.iter().find(|known| known.name.eq_ignore_ascii_case(&label.name)) {
            None => review.step(
                format!("create the label {:?}", label.name),
                Method::POST,
                &["labels"],
                Body::Json(body),
            ),
            Some(known) if looks_the_same(known, label) => {}
            Some(known) => review.step(
                format!("change color and description of the label {:?}", label.name),
                Method::PATCH,
                &["labels", &known.name],
                Body::Json(json!({"color": label.color, "description": label.description})),
            ),
        }
    }
    review
}

fn looks_the_same(known: &Label, wanted: &Label) -> bool {
    let text = |label: &Label| label.description.clone().unwrap_or_default();
    known.color.eq_ignore_ascii_case(&wanted.color) && text(known) == text(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, color: &str, description: Option<&str>) -> Label {
        Label { name: name.into(), color: color.into(), description: description.map(str::to_owned) }
    }

    #[test]
    fn labels_that_differ_are_changed_and_others_left_alone() {
        let wanted = [
            label("feature", "1d76db", Some("build")),
            label("skip", "ededed", None),
            label("cleanup", "d93f0b", Some("drop")),
        ];
        let found = [
            label("Feature", "1D76DB", Some("build")),
            label("skip", "000000", Some("")),
            label("bug", "ff0000", None),
        ];
        let steps = review(&found, &wanted).steps;
        let titles: Vec<&str> = steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(
            titles,
            [r#"change color and description of the label "skip""#, r#"create the label "cleanup""#]
        );
        assert_eq!(steps[0].path, ["labels", "skip"]);
        assert!(review(&wanted, &wanted).steps.is_empty());
    }
}
