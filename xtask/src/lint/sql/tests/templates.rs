//! Templates: random ones, whose trace is exact, and hostile ones, which cost nothing but an offence.

use proptest::prelude::*;

use super::*;

fn renderer() -> Renderer {
    let settings =
        Settings { name: "shop".to_owned(), adapter: "snowflake".to_owned(), ..Settings::default() };
    Renderer::new(settings, Library::default())
}

/// A piece of a random template; texts get a number each when they are written out.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Value(u8),
    Comment,
    Raw,
    Set(Vec<Part>),
    If(bool, Vec<Part>, Vec<Part>),
    For(u8, Vec<Part>),
    Macro(Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let space = prop::collection::vec(prop_oneof![Just(' '), Just('\n'), Just('\t')], 0..3);
    let leaf = prop_oneof![
        4 => space.prop_map(|space| Part::Text(space.into_iter().collect())),
        2 => any::<u8>().prop_map(Part::Value),
        1 => Just(Part::Comment),
        1 => Just(Part::Raw),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            parts().prop_map(Part::Set),
            (any::<bool>(), parts(), parts()).prop_map(|(yes, then, other)| Part::If(yes, then, other)),
            (0_u8..3, parts()).prop_map(|(rounds, body)| Part::For(rounds, body)),
            parts().prop_map(Part::Macro),
        ]
    })
}

/// Writes a template out. Each text is unique and begins with `é`, or with `ü` if a block captures
/// it; some tags remove whitespace.
fn written(parts: &[Part], number: &mut u32, first: char, out: &mut String) {
    for part in parts {
        *number += 1;
        let id = *number;
        let (l, r) = ([("", ""), ("-", ""), ("", "-"), ("-", "-")])[(id % 4) as usize];
        match part {
            Part::Text(space) => out.extend([format!("{space}{first}{id}{space}")]),
            Part::Value(value) => out.extend([format!("{{{{{l} 'v{value}' {r}}}}}")]),
            Part::Comment => out.extend([format!("{{#{l} c{id} {{{{ {r}#}}")]),
            Part::Raw => out.extend([format!("{{%{l} raw %}} {{{{ r{id} }}}} {{% endraw {r}%}}")]),
            Part::Set(body) => {
                out.extend([format!("{{%{l} set x{id} %}}")]);
                written(body, number, 'ü', out);
                out.extend([format!("{{% endset {r}%}}{{{{ x{id} | trim | length }}}}")]);
            }
            Part::If(yes, then, other) => {
                out.extend([format!("{{%{l} if {yes} %}}")]);
                written(then, number, first, out);
                out.push_str("{% else %}");
                written(other, number, first, out);
                out.extend([format!("{{% endif {r}%}}")]);
            }
            Part::For(rounds, body) => {
                out.extend([format!("{{% for i in range({rounds}) {r}%}}")]);
                written(body, number, first, out);
                out.extend([format!("{{%{l} endfor %}}")]);
            }
            Part::Macro(body) => {
                out.extend([format!("{{%{l} macro m{id}() {r}%}}")]);
                written(body, number, 'ü', out);
                out.extend([format!("{{% endmacro %}}{{{{ m{id}() }}}}")]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_trace_is_exact_and_changes_nothing(parts in prop::collection::vec(part(), 0..8)) {
        let mut source = String::new();
        written(&parts, &mut 0, 'é', &mut source);
        let renderer = renderer();
        let pieces = template::cut(&source).expect("it is whole");
        let rendering = renderer.render(&source, &pieces, "x", false, Guess::Names).expect("it renders");
        // Jinja drops a final newline, so that both end on something else.
        let mut jinja = minijinja::Environment::new();
        jinja.set_debug(false);
        let plain = jinja.render_str(&format!("{source}|"), ()).expect("it renders");
        prop_assert_eq!(format!("{}|", rendering.text), plain, "{}", source);
        let mut at = 0;
        for slice in &rendering.slices {
            prop_assert_eq!(slice.output.start, at);
            at = slice.output.end;
            if slice.origin == Origin::Literal {
                prop_assert_eq!(&source[slice.source.clone()], &rendering.text[slice.output.clone()]);
            }
        }
        prop_assert_eq!(at, rendering.text.len());
        // Text outside of captures is reported at its own position, captured text at that of the block.
        for (start, first) in rendering.text.char_indices().filter(|(_, c)| matches!(c, 'é' | 'ü')) {
            let slice = rendering.slices.iter().find(|slice| slice.output.contains(&start));
            let wanted = if first == 'é' { Origin::Literal } else { Origin::Templated };
            prop_assert_eq!(slice.map(|slice| slice.origin), Some(wanted), "{} at {}", source, start);
        }
    }

    #[test]
    fn no_text_makes_it_fail(text in "[ -~\n{}%#'\"é\u{feff}\r-]{0,80}") {
        let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\n");
        let file = source("models/x.sql", &text);
        check(&file, &project).expect("offences");
        if let Some(fixed) = fix(&file, &project, &|_| false) {
            prop_assert_eq!(fix(&source("models/x.sql", &fixed), &project, &|_| false), None);
        }
    }
}

#[test]
fn hostile_templates_are_offences_and_nothing_worse() {
    let project = project(Vec::new(), "[sqlfluff]\ndialect = snowflake\n");
    let nested = |open: &str, close: &str, n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
    let hostile = [
        ("10,000 blocks deep", nested("{% if true %}", "{% endif %}", 10_000)),
        ("10,000 brackets deep in a tag", format!("select {{{{ {} }}}}", nested("(", ")", 10_000))),
        ("10,000 brackets deep in SQL", format!("select {}", nested("(", ")", 10_000))),
        ("10,000 selects deep", nested("select * from (", ")", 10_000)),
        ("10,000 unclosed", "{% if true %}".repeat(10_000)),
        ("huge output", "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}".to_owned()),
        ("huge value", "{{ 'x' * 999999999999 }}".to_owned()),
        ("doubling", format!("{{% set a = 'x' %}}{}{{{{ a }}}}", "{% set a = a ~ a %}".repeat(64))),
        ("a list in itself", "{% set a = [] %}{% do a.append(a) %}{{ a }}".to_owned()),
        ("binary", "\0\u{1}\u{2}\u{fffd}{{\0".repeat(100)),
    ];
    for (what, text) in hostile {
        let checked = check(&source("models/x.sql", &text), &project).expect("offences");
        // A failure of the checker itself is reported as one.
        assert!(checked.unknown.is_some() || checked.offences.iter().any(is_ours), "{what}: {checked:?}");
    }
}
