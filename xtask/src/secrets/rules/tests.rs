//! Every example of every rule, and what gitleaks' format asks for.

use super::*;
use crate::secrets::engine::{Engine, Place};

fn found(engine: &Engine, examples: &Examples, text: &str) -> Vec<String> {
    let path = examples.path.as_deref().unwrap_or("example.txt");
    let mut hits = engine.scan(Place { path, commit: None }, text.as_bytes());
    hits.retain(|hit| !hit.silent);
    hits.iter().map(|hit| engine.set.id(hit.source).to_owned()).collect()
}

fn with_examples() -> Engine {
    let set = RuleSet::parse(BUILT_IN, Path::new("policies/secrets.toml"), 0, true)
        .expect("our own rules are valid");
    Engine::new(set).expect("our own rules build")
}

/// How many findings a text has: what is allowed is a hit and not a finding.
fn reported(engine: &Engine, place: Place<'_>, text: &str) -> usize {
    engine.scan(place, text.as_bytes()).iter().filter(|hit| !hit.silent).count()
}

#[test]
fn every_example_of_every_rule_holds() {
    let engine = with_examples();
    let rules = engine.set.rules.iter().map(|rule| (&rule.id, &rule.examples));
    let providers = engine.set.providers.iter().map(|provider| (&provider.id, &provider.examples));
    let mut wrong = Vec::new();
    for (id, examples) in rules.chain(providers) {
        if examples.clean.is_empty() {
            wrong.push(format!("{id}: no clean example"));
        }
        for example in &examples.secret {
            if found(&engine, examples, &Examples::join(example)).is_empty() {
                wrong.push(format!("{id}: not found: {example}"));
            }
        }
        for example in &examples.clean {
            let ids = found(&engine, examples, &Examples::join(example));
            if !ids.is_empty() {
                wrong.push(format!("{id}: found by {ids:?}: {example}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_regex_finds_its_own_example() {
    let engine = with_examples();
    let mut wrong = Vec::new();
    for rule in &engine.set.rules {
        for example in &rule.examples.secret {
            let text = Examples::join(example);
            let matched = rule
                .regex
                .as_ref()
                .and_then(LazyRegex::get)
                .is_some_and(|regex| regex.is_match(text.as_bytes()));
            if !matched {
                wrong.push(format!("{}: {example}", rule.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rules:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn ids_are_unique_and_many() {
    let set = RuleSet::built_in().expect("our own rules are valid");
    let mut ids: Vec<&str> =
        set.rules.iter().map(|r| r.id.as_str()).chain(set.providers.iter().map(|p| p.id.as_str())).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(all >= 450, "{all}");
}

#[test]
fn go_syntax_is_taken() {
    for (go, text) in [
        (r"a{b", "a{b"),
        (r"[[a]", "["),
        (r"[a&&b]", "&"),
        (r"\Qa.b\E+", "a.b"),
        (r"x\Z", "x"),
        (r"[]a]+", "]a"),
        (r"[[:alnum:]_]+", "a_1"),
        (r"[a-z]{2,3}", "abc"),
        (r"\<x\>", "<x>"),
        (r"(?i)AbC", "aBc"),
    ] {
        let regex = LazyRegex::new(go);
        regex.check().unwrap_or_else(|error| panic!("{go}: {error}"));
        assert!(regex.is_match(text.as_bytes()), "{go} as {}", regex.text);
    }
}

fn engine_of(text: &str) -> Engine {
    let set = RuleSet::parse(text, Path::new("x.toml"), 0, true).expect("valid");
    Engine::new(set).expect("builds")
}

#[test]
fn a_broken_regex_is_named_by_its_rule() {
    let text = "[[rules]]\nid = \"mine\"\nregex = '(' \n";
    let error = RuleSet::parse(text, Path::new("own.toml"), 0, true).expect_err("`(` is no regex");
    assert!(format!("{error:#}").contains("own.toml: rule `mine`"), "{error:#}");
}

#[test]
fn allowlists_combine_as_gitleaks_does() {
    let text = r"
        [[rules]]
        id = 'mine'
        regex = 'tok-([a-z0-9]{8})'
        keywords = ['tok-']
        [[rules.allowlists]]
        condition = 'AND'
        paths = ['^docs/']
        regexes = ['^abc']
        [[rules.allowlists]]
        regexTarget = 'line'
        regexes = ['sample']
        stopwords = ['stop']
    ";
    let engine = engine_of(text);
    let count = |path: &str, text: &str| reported(&engine, Place { path, commit: None }, text);
    let (abc, xyz) = (["tok-", "abc12345"].concat(), ["tok-", "xyz12345"].concat());
    assert_eq!(count("src/a", &abc), 1);
    assert_eq!(count("docs/a", &abc), 0);
    assert_eq!(count("docs/a", &xyz), 1);
    assert_eq!(count("src/a", &format!("{xyz} sample")), 0);
    assert_eq!(count("src/a", &["tok-", "xystop12"].concat()), 0);
}

#[test]
fn an_unknown_checksum_is_an_error() {
    let text = "[[rules]]\nid = 'mine'\nregex = 'a'\nchecksum = 'crc'\n";
    let error = RuleSet::parse(text, Path::new("own.toml"), 0, true).expect_err("no such proof");
    let error = format!("{error:#}");
    assert!(error.contains("rule `mine`") && error.contains("`crc`") && error.contains("github"), "{error}");
}

#[test]
fn settings_without_effect_are_errors() {
    for (text, says) in [
        (
            "[[rules]]\nid = 'mine'\nregex = 'a(b)'\nsecretGroup = 2\n",
            "secretGroup is 2, but its regex has 1 groups",
        ),
        (
            "[extend]\nuseDefault = true\n[[rules]]\nid = 'generic-password'\nentropy = 4.0\n",
            "it has no regex",
        ),
        ("[[allowlists]]\ndescription = 'all'\n", "an allowlist needs"),
        ("[[rules]]\nid = 'mine'\nregex = 'a'\n[[rules.allowlists]]\n", "mine: an allowlist needs"),
    ] {
        let error = RuleSet::parse(text, Path::new("own.toml"), 0, true).expect_err(text);
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
    let fine = "[extend]\nuseDefault = true\n[[rules]]\nid = 'generic-password'\n[[rules.allowlists]]\npaths = ['^a$']\n";
    RuleSet::parse(fine, Path::new("own.toml"), 0, true).expect("an allowlist works");
}

#[test]
fn a_commit_may_be_allowed() {
    let text = r"
        [[rules]]
        id = 'mine'
        regex = 'tok-([a-z0-9]{8})'
        [[rules.allowlists]]
        commits = ['AAAA']
        [[allowlists]]
        commits = ['bbbb']
        [[allowlists]]
        condition = 'AND'
        commits = ['cccc']
        paths = ['^docs/']
    ";
    let engine = engine_of(text);
    let token = ["tok-", "abc12345"].concat();
    let count = |path, commit| reported(&engine, Place { path, commit }, &token);
    assert_eq!(count("a", None), 1);
    assert_eq!(count("a", Some("dddd")), 1);
    assert_eq!(count("a", Some("aaaa")), 0);
    assert_eq!(count("a", Some("bbbb")), 0);
    assert_eq!(count("a", Some("cccc")), 1);
    assert_eq!(count("docs/a", Some("cccc")), 0);
    assert!(engine.set.allows_commit("bbbb"));
    assert!(!engine.set.allows_commit("aaaa") && !engine.set.allows_commit("cccc"));
}

#[test]
#[cfg(unix)]
fn a_device_is_no_rule_file() {
    let text = "[extend]\npath = '/dev/zero'\n";
    let error = RuleSet::parse(text, Path::new("own.toml"), 0, true).expect_err("it has no end");
    assert!(error.to_string().contains("/dev/zero is no rule file"), "{error:#}");
}

#[test]
fn what_is_prepared_at_compile_time_is_the_policy() {
    let whole = RuleSet::parse(BUILT_IN, Path::new("policies/secrets.toml"), 0, false);
    let mut whole = whole.expect("the policy is valid");
    whole.rules.iter_mut().for_each(|rule| rule.examples = Examples::default());
    whole.providers.iter_mut().for_each(|provider| provider.examples = Examples::default());
    let prepared = RuleSet::built_in().expect("build.rs prepared it");
    assert_eq!(format!("{prepared:?}"), format!("{whole:?}"));
}
