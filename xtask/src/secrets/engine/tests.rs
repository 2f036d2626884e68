//! What holds of any text: nothing is lost by the search for literals, nothing hangs, nothing breaks.

use proptest::prelude::*;

use super::*;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(RuleSet::built_in().expect("our own rules are valid")).expect("they build")
    })
}

/// How many cases a property gets; `PROPTEST_CASES` asks for a long run.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(96)
}

/// Secrets of many rules, and the noise that files put around them.
fn pieces() -> impl Strategy<Value = Vec<String>> {
    let examples: Vec<String> = {
        let set = RuleSet::parse(crate::secrets::rules::BUILT_IN, std::path::Path::new("x"), 0, false)
            .expect("valid");
        let all = set.rules.iter().flat_map(|rule| rule.examples.secret.iter());
        all.map(|example| crate::secrets::rules::Examples::join(example)).collect()
    };
    let piece = prop_oneof![
        proptest::sample::select(examples),
        "[ -~]{0,40}",
        Just("\n".to_owned()),
        Just("key = \"".to_owned()),
        Just("\u{e4}\u{20ac}".to_owned()),
    ];
    proptest::collection::vec(piece, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// The prefilter never loses what the regexes alone find within their reach.
    #[test]
    fn the_prefilter_loses_nothing(pieces in pieces()) {
        let text = pieces.concat();
        let hits = engine().scan(Place { path: "x.txt", commit: None }, text.as_bytes());
        for (at, rule) in engine().set.rules.iter().enumerate().filter(|(_, rule)| !rule.keywords.is_empty() && rule.bare.is_empty()) {
            let Some(regex) = rule.regex.as_ref().and_then(|regex| regex.get()) else { continue };
            let lower = text.as_bytes().to_ascii_lowercase();
            for found in regex.captures_iter(text.as_bytes()) {
                let group = found.iter().skip(1).flatten().find(|g| !g.is_empty()).or(found.get(0)).expect("a match");
                let near = found.get(0).expect("a match").range();
                let keyword = rule.keywords.iter().any(|k| memchr::memmem::find(&lower[near.clone()], k.as_bytes()).is_some());
                let mut alone = Vec::new();
                let mut scan = Scan::new(engine(), Place { path: "x.txt", commit: None }, text.as_bytes(), &mut alone);
                scan.matched(at, group.range(), near.clone());
                if keyword && !alone.is_empty() {
                    prop_assert!(
                        hits.iter().any(|hit| hit.range.start < group.end() && group.start() < hit.range.end),
                        "{} at {:?}", rule.id, group.range()
                    );
                }
            }
        }
    }

    /// A scan of any bytes ends, and its hits are within the text and in order.
    #[test]
    fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let hits = engine().scan(Place { path: "x", commit: None }, &bytes);
        prop_assert!(hits.iter().all(|hit| hit.range.start < hit.range.end && hit.range.end <= bytes.len()));
        prop_assert!(hits.windows(2).all(|pair| pair[0].range.start <= pair[1].range.start));
    }

    /// Whatever a rule file says, loading it ends in rules or in an error.
    #[test]
    fn any_rule_file_is_loaded_or_refused(parts in proptest::collection::vec(proptest::sample::select(vec![
        "[[rules]]\n", "[extend]\n", "useDefault = true\n", "id = 'a'\n", "regex = '''", "'''\n", "(a", "[", "]", "{2,", "}", "\\Q", "\\E", "\\",
        "keywords = ['", "']\n", "[[rules.allowlists]]\n", "condition = 'AND'\n", "regexes = ['x']\n", "[[providers]]\n", "tokens = ['hex32']\n",
        "name = 'b'\n", "entropy = 3\n", "secretGroup = 9\n", "[^]", "&&", "--", "(?i)", "\u{e4}", "disabledRules = ['a']\n", "bare = ['q']\n",
    ]), 0..24)) {
        let text = parts.concat();
        if let Ok(set) = RuleSet::parse(&text, std::path::Path::new("x.toml"), 0, true) {
            let engine = Engine::new(set).expect("checked rules build");
            engine.scan(Place { path: "x", commit: None }, b"aab a2 qqqqqqqqqqqqqqqqq x");
        }
    }

    /// Text made of what the readers look for, in any order, breaks none of them.
    #[test]
    fn any_syntax_is_scanned(parts in proptest::collection::vec(proptest::sample::select(vec![
        "password", "token", "key", "=", ":", "\"", "'", "\\", "\n", " ", "://", "@", "{", "}", "curl -u ", "Authorization: Basic ", "<", ">", "%3D",
        "a1B2c3D4e5F6g7H8", "eyJhbGciOi", "-----BEGIN PRIVATE KEY-----", "\u{e4}", "login ", "|", "`", "secret_",
    ]), 0..60)) {
        let text = parts.concat();
        engine().scan(Place { path: "x", commit: None }, text.as_bytes());
    }
}

#[test]
fn time_is_linear_on_hostile_text() {
    let one = [
        "a=",
        "key=",
        "password:",
        "://",
        "token ",
        "eyJ",
        "AKIA",
        "sk-",
        "{",
        "\"",
        "A1b2C3d4",
        "curl -u :",
        "%41",
    ];
    let seconds = |piece: &str, length: usize| {
        let text = piece.repeat(length / piece.len());
        let run = || {
            let start = std::time::Instant::now();
            engine().scan(Place { path: "x.txt", commit: None }, text.as_bytes());
            start.elapsed().as_secs_f64()
        };
        (0..3).map(|_| run()).fold(f64::INFINITY, f64::min)
    };
    // Eight times the text takes eight times as long; were it to the square, it would be 64 times. A busy machine may
    // disturb a measurement, but not all of them.
    let linear = |piece: &str| {
        let (short, long) = (seconds(piece, 64 << 10), seconds(piece, 512 << 10));
        long < short * 24.0
    };
    for piece in one {
        assert!(
            (0..10).any(|_| linear(piece)),
            "{piece}: far more than eight times the time for eight times the text"
        );
    }
}

#[test]
fn keys_close_to_one_another_are_each_found_whole() {
    let head = ["-----BEGIN RSA PRIV", "ATE KEY-----\n"].concat();
    let body = ["MIIEowIBAAKCAQEA", "kZr7Qm2VtXb9Lw4HcYd8Ns3JfPg6RuTe1AiOo5CzGvBxEhKj"].concat();
    let text = format!("{head}{body}\n").repeat(600);
    let hits = engine().scan(Place { path: "keys.txt", commit: None }, text.as_bytes());
    assert_eq!(hits.len(), 600);
    assert!(hits.iter().all(|hit| hit.secret.trim_ascii() == body.as_bytes()));
}
