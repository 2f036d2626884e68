//! YAML as JSON values, for reading workflows: enough of YAML 1.2 for what GitHub takes, and a panic for the rest.

use std::fs;
use std::path::Path;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

pub(crate) fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root = Value::Null;
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let done = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Value::Array(items),
                Some(Open::Map(map, None)) => Value::Object(map),
                _ => return Err("an end without a start".to_owned()),
            },
            Event::Alias(_) => return Err("an alias, which is not read here".to_owned()),
            _ => continue,
        };
        match open.last_mut() {
            None => root = done,
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(map, key)) => match key.take() {
                None => *key = Some(done.as_str().map_or_else(|| done.to_string(), str::to_owned)),
                Some(name) if map.contains_key(&name) => return Err(format!("{name} is there twice")),
                Some(name) => drop(map.insert(name, done)),
            },
        }
    }
    Ok(root)
}

enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => text.parse::<i64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

#[test]
fn what_workflows_are_written_in_is_read() {
    let text = "on:\n  push:\n    branches: [\"**\"]\n  delete:\nif: >-\n  ${{ a\n  && b }}\nn: 7\nq: '7'\n";
    let expected = serde_json::json!({
        "on": {"push": {"branches": ["**"]}, "delete": null}, "if": "${{ a && b }}", "n": 7, "q": "7"
    });
    assert_eq!(parse(text).unwrap(), expected);
    assert!(parse("a: 1\na: 2\n").is_err());
}
