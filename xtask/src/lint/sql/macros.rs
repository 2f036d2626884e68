//! The macros of a project, and how a template is rewritten so that minijinja runs it as dbt would.
//!
//! A template is rendered together with only the macros that it needs, in one state: so `return`,
//! `caller()`, `varargs` and `adapter.dispatch` work across files, and unused macros cost nothing.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use super::template::{Fault, Kind, Piece, assignment, cut, words};

/// A macro, ready to be prepended to a template.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) text: String,
    /// The names and strings of its code: what it may call.
    words: Vec<String>,
}

/// All macros of a project by name.
#[derive(Debug, Default)]
pub(crate) struct Library {
    macros: HashMap<String, Definition>,
    /// Those of packages by their bare names: each package has its own namespace.
    packages: HashMap<String, Vec<Definition>>,
    /// `dateadd` to `default__dateadd`, `snowflake__dateadd`, …
    variants: HashMap<String, Vec<String>>,
}

impl Library {
    /// Adds the macros of a file. Files that cannot be cut are left out here: the check of the file reports them.
    pub(crate) fn add(&mut self, source: &str) {
        let Ok(pieces) = cut(source) else { return };
        for block in definitions(&neutral(source, &pieces), &pieces) {
            if let Some((_, base)) = block.name.split_once("__") {
                self.variants.entry(base.to_owned()).or_default().push(block.name.clone());
            }
            self.macros.insert(block.name.clone(), block);
        }
    }

    /// Adds the macros of a package's files. Inside of them, bare names refer to the package's own macros.
    pub(crate) fn add_package(&mut self, package: &str, sources: &[String]) {
        let mut found = Vec::new();
        for source in sources {
            if let Ok(pieces) = cut(source) {
                found.extend(definitions(&neutral(source, &pieces), &pieces));
            }
        }
        let own: BTreeSet<String> = found.iter().map(|definition| definition.name.clone()).collect();
        for definition in found {
            let bare = definition.name.clone();
            if let Some((_, base)) = bare.split_once("__") {
                self.variants.entry(base.to_owned()).or_default().push(bare.clone());
            }
            let inside = mangled(package, &bare);
            let text = definition.text.replace(
                &registration(&bare),
                &format!("{{%- set {inside} = __macro('{package}.{bare}', {inside}) -%}}"),
            );
            let text = renamed(&text, package, &own);
            let name = format!("{package}.{bare}");
            self.packages.entry(bare).or_default().push(Definition { name, text, words: definition.words });
        }
    }

    /// The macros of the name with a prefix, such as `duckdb__storage` for `storage`.
    pub(crate) fn variants(&self, name: &str) -> &[String] {
        self.variants.get(name).map_or(&[], Vec::as_slice)
    }

    /// The macros that the words of a template reach, without those in `without`.
    pub(crate) fn reached(&self, start: &BTreeSet<&str>, without: &BTreeSet<String>) -> Vec<&Definition> {
        let mut found: Vec<&Definition> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = start.iter().copied().collect();
        while let Some(word) = open.pop() {
            let names = self.variants(word).iter().map(String::as_str).chain([word]);
            for name in names {
                for definition in self.packages.get(name).into_iter().flatten() {
                    if !without.contains(&definition.name) && seen.insert(&definition.name) {
                        found.push(definition);
                        open.extend(definition.words.iter().map(String::as_str));
                    }
                }
                let Some((name, definition)) = self.macros.get_key_value(name) else { continue };
                if !without.contains(name) && seen.insert(name) {
                    found.push(definition);
                    open.extend(definition.words.iter().map(String::as_str));
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }
}

/// The name of a package's macro within a template.
fn mangled(package: &str, name: &str) -> String {
    format!("__{package}__of__{name}")
}

/// A package's definition, in which the names of the package's own macros are replaced by unique ones.
fn renamed(text: &str, package: &str, own: &BTreeSet<String>) -> String {
    let Ok(pieces) = cut(text) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for piece in pieces.iter().filter(|piece| matches!(piece.kind, Kind::Expression | Kind::Statement)) {
        let code = &text[piece.code.clone()];
        for word in words(code).iter().filter(|word| !word.is_string && own.contains(word.text)) {
            let start = piece.code.start + (word.text.as_ptr() as usize - code.as_ptr() as usize);
            let end = start + word.text.len();
            let is_called = text[end..].trim_start().starts_with('(');
            let is_looked_up = !text[..start].trim_end().ends_with(['.', '|']);
            if is_called && is_looked_up && start >= at {
                out.push_str(&text[at..start]);
                out.push_str(&mangled(package, word.text));
                at = end;
            }
        }
    }
    out.push_str(&text[at..]);
    out
}

/// The source without syntax that Jinja accepts and minijinja does not: a plus before a number. Its length is unchanged.
pub(crate) fn neutral<'s>(source: &'s str, pieces: &[Piece]) -> Cow<'s, str> {
    let mut changed: Option<Vec<u8>> = None;
    for piece in pieces.iter().filter(|piece| matches!(piece.kind, Kind::Expression | Kind::Statement)) {
        let code = source[piece.code.clone()].as_bytes();
        if !code.contains(&b'+') {
            continue;
        }
        let mut quote = None;
        let mut before = b'(';
        for (at, byte) in code.iter().copied().enumerate() {
            match (quote, byte) {
                (Some(open), _) if byte == open && before != b'\\' => quote = None,
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'+') if b"([{,=:+-*/%~<>!".contains(&before) => {
                    changed.get_or_insert_with(|| source.as_bytes().to_vec())[piece.code.start + at] = b' ';
                    continue;
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() || quote.is_some() {
                before = byte;
            }
        }
    }
    changed.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Cow::Borrowed(source), Cow::Owned)
}

fn definitions(source: &str, pieces: &[Piece]) -> Vec<Definition> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        let piece = &pieces[at];
        let opens = piece.kind == Kind::Statement && is_definition(piece.keyword(source));
        let end = opens.then(|| closing(source, pieces, at)).flatten();
        if let (Some(end), Some(name)) = (end, defined_name(source, piece)) {
            let body = &pieces[at..=end];
            let mut known = BTreeSet::new();
            for tag in body.iter().filter(|tag| matches!(tag.kind, Kind::Expression | Kind::Statement)) {
                known.extend(words(&source[tag.code.clone()]).into_iter().map(|word| word.text.to_owned()));
            }
            found.push(Definition {
                name,
                text: assembled(source, body),
                words: known.into_iter().collect(),
            });
            at = end;
        }
        at += 1;
    }
    found
}

/// Whether a block of this keyword defines a macro for dbt.
pub(crate) fn is_definition(keyword: &str) -> bool {
    matches!(keyword, "macro" | "test" | "data_test" | "materialization")
}

/// The keyword that closes a block, for those that have one.
pub(crate) fn closes(keyword: &str) -> Option<&str> {
    keyword.strip_prefix("end").filter(|opened| !opened.is_empty())
}

/// The piece that closes the definition which `open` opens: definitions do not nest.
fn closing(source: &str, pieces: &[Piece], open: usize) -> Option<usize> {
    let wanted = pieces[open].keyword(source);
    (open + 1..pieces.len())
        .find(|&at| pieces[at].kind == Kind::Statement && closes(pieces[at].keyword(source)) == Some(wanted))
}

/// The name that a definition has among the macros.
pub(crate) fn defined_name(source: &str, piece: &Piece) -> Option<String> {
    let code = words(&source[piece.code.clone()]);
    let name = code.get(1).filter(|word| !word.is_string)?.text;
    Some(match piece.keyword(source) {
        "macro" => name.to_owned(),
        "materialization" => format!("materialization_{name}"),
        _ => format!("test_{name}"),
    })
}

/// The pieces joined again, rewritten as minijinja needs them.
pub(crate) fn assembled(source: &str, pieces: &[Piece]) -> String {
    let mut text = String::new();
    let uses = |name: &str| {
        pieces.iter().any(|piece| {
            matches!(piece.kind, Kind::Expression | Kind::Statement)
                && words(&source[piece.code.clone()]).iter().any(|word| !word.is_string && word.text == name)
        })
    };
    let (varargs, kwargs) = (uses("varargs"), uses("kwargs"));
    let mut open: Option<String> = None;
    let mut at = pieces.first().map_or(0, |piece| piece.range.start);
    for piece in pieces {
        // The whitespace that the adjacent tags remove: a brace before a tag must not become a part of it.
        text.push_str(&source[at..piece.range.start]);
        at = piece.range.end;
        if piece.kind != Kind::Statement {
            text.push_str(&source[piece.range.clone()]);
            continue;
        }
        let keyword = piece.keyword(source);
        if is_definition(keyword) {
            open = defined_name(source, piece);
            text.push_str(&signature(source, piece, open.as_deref(), varargs, kwargs));
        } else if closes(keyword).is_some_and(is_definition) {
            text.push_str(&with_code(source, piece, "endmacro"));
            if let Some(name) = open.take() {
                text.push_str(&registration(&name));
            }
        } else {
            text.push_str(&statement(source, piece));
        }
    }
    text
}

/// The statement that registers a macro after its definition.
pub(crate) fn registration(name: &str) -> String {
    format!("{{%- set {name} = __macro('{name}', {name}) -%}}")
}

/// The opening tag of a definition, as a macro of minijinja's.
pub(crate) fn signature(
    source: &str,
    piece: &Piece,
    name: Option<&str>,
    varargs: bool,
    kwargs: bool,
) -> String {
    let code = &source[piece.code.clone()];
    let Some(name) = name else { return source[piece.range.clone()].to_owned() };
    // A materialization names an adapter in the place of parameters.
    let is_plain = piece.keyword(source) != "materialization";
    let inside = code
        .find('(')
        .zip(code.rfind(')'))
        .filter(|(open, close)| is_plain && open < close)
        .map_or("", |(open, close)| code[open + 1..close].trim().trim_end_matches(','));
    let mut parameters = if inside.is_empty() { Vec::new() } else { vec![inside] };
    if varargs {
        parameters.push("varargs=[]");
    }
    if kwargs {
        parameters.push("kwargs={}");
    }
    with_code(source, piece, &format!("macro {name}({})", parameters.join(", ")))
}

/// A statement whose expression cannot be evaluated, with placeholders in its place; `None` if it has no expression.
/// Conditions are false, or true if `holds`.
pub(crate) fn with_placeholders(source: &str, piece: &Piece, holds: bool) -> Option<String> {
    let keyword = piece.keyword(source);
    let rest = source[piece.code.clone()].trim_start().strip_prefix(keyword).unwrap_or_default();
    let names = |text: &str| -> Vec<String> {
        words(text).iter().filter(|word| !word.is_string).map(|word| word.text.to_owned()).collect()
    };
    Some(match keyword {
        "set" => {
            let at = assignment(rest)?;
            if rest[..at].contains('.') {
                let target = rest[..at].trim();
                return Some(with_code(
                    source,
                    piece,
                    &format!("set {target} = __placeholder('{}')", names(target).join("_")),
                ));
            }
            let all = names(&rest[..at]);
            all.iter()
                .map(|name| with_code(source, piece, &format!("set {name} = __placeholder('{name}')")))
                .collect()
        }
        "for" => {
            let targets = names(rest.split(" in ").next()?);
            let row = format!("for {} in __rows({})", targets.join(", "), targets.len());
            with_code(source, piece, &row)
        }
        "if" | "elif" if holds => with_code(source, piece, &format!("{keyword} true")),
        "if" | "elif" => with_code(source, piece, &format!("{keyword} __placeholder('condition')")),
        "do" => with_code(source, piece, "set __done = ''"),
        _ => return None,
    })
}

/// A statement as minijinja accepts it: `do` of any expression, and mutable lists and dicts.
pub(crate) fn statement<'s>(source: &'s str, piece: &Piece) -> Cow<'s, str> {
    let code = &source[piece.code.clone()];
    let keyword = piece.keyword(source);
    let rest = code.trim_start().strip_prefix(keyword).unwrap_or_default();
    match keyword {
        "do" => with_code(source, piece, &format!("set __done = ({rest})")).into(),
        "set" => match assignment(rest) {
            Some(at) if !rest[..at].contains(',') => {
                let (target, value) = (rest[..at].trim(), &rest[at + 1..]);
                let keep = if target.contains('.') { "__keep_in_namespace" } else { "__keep" };
                with_code(source, piece, &format!("set {target} = {keep}(({value}))")).into()
            }
            _ => source[piece.range.clone()].into(),
        },
        "docs" => with_code(source, piece, "set __docs").into(),
        "enddocs" => with_code(source, piece, "endset").into(),
        // Jinja accepts a colon at the end of a block's head, as in Python.
        _ => match code.trim_end().strip_suffix(':') {
            Some(head) => with_code(source, piece, head).into(),
            None => source[piece.range.clone()].into(),
        },
    }
}

/// The tag with other code, and with its whitespace control.
fn with_code(source: &str, piece: &Piece, code: &str) -> String {
    let open = &source[piece.range.start..piece.code.start];
    let close = &source[piece.code.end..piece.range.end];
    format!("{open} {code} {close}")
}

/// Whether a file contains only definitions and nothing that would be sent to a warehouse.
pub(crate) fn is_macro_file(source: &str, pieces: &[Piece]) -> bool {
    let mut inside: Option<&str> = None;
    let mut defines = false;
    let mut beside = String::new();
    for piece in pieces {
        let keyword = if piece.kind == Kind::Statement { piece.keyword(source) } else { "" };
        if let Some(opened) = inside {
            if closes(keyword) == Some(opened) {
                inside = None;
            }
        } else if is_definition(keyword) || keyword == "docs" {
            inside = Some(keyword);
            defines = true;
        } else if piece.kind == Kind::Expression {
            return false;
        } else if matches!(piece.kind, Kind::Text | Kind::RawText) {
            beside.push_str(&source[piece.range.clone()]);
        }
    }
    defines && is_commentary(&beside)
}

/// Whether the text contains only SQL comments.
fn is_commentary(text: &str) -> bool {
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with("--") {
            rest.find('\n')
        } else if rest.starts_with("/*") {
            rest.find("*/").map(|end| end + 2)
        } else {
            return false;
        };
        rest = rest[end.unwrap_or(rest.len())..].trim_start();
    }
    true
}

/// Why the macro file cannot be read by Jinja, block by block.
pub(crate) fn faults(
    source: &str,
    pieces: &[Piece],
    parse: impl Fn(&str) -> Result<(), String>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let keyword = if piece.kind == Kind::Statement { piece.keyword(source) } else { "" };
        if !is_definition(keyword) {
            continue;
        }
        match closing(source, pieces, at) {
            None => faults.push(Fault::new(
                piece.range.clone(),
                format!("{{% {keyword} %}} is never closed by {{% end{keyword} %}}"),
            )),
            Some(end) => {
                if let Err(reason) = parse(&assembled(source, &pieces[at..=end])) {
                    faults.push(Fault::new(piece.range.clone(), reason));
                }
            }
        }
    }
    faults
}
