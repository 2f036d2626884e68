//! Renders the templates of a dbt project without dbt, within bounds.
//!
//! Fuel bounds the steps, a writer the output, the marker the nesting; a template that exceeds a bound is a
//! fault at the piece that was running. Missing macros and values are replaced by placeholders, so that only
//! real mistakes of the template are faults.

mod attempt;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value};

use self::attempt::Attempt;
use super::builtins::{Facts, from_json, install, unknown};
use super::macros::{Library, faults, is_macro_file, neutral};
use super::template::{Fault, Kind, Piece, cut, words};
use super::trace::{Origin, Rendering, Slice, mark};
use super::values::{Dict, Placeholder, Relation, is_uncertain, watch};

/// Steps of a rendering; the templates of a large project take some thousands.
const FUEL: u64 = 2_000_000;
/// Bytes of output.
const LARGEST: usize = 1 << 20;
/// How often a rendering is tried again with something else left out.
const TRIES: usize = 16;

/// Renders the templates of one project. Made once, used by all threads.
#[derive(Debug)]
pub(crate) struct Renderer {
    env: Environment<'static>,
    globals: HashSet<String>,
    library: Arc<Library>,
    context: BTreeMap<String, Value>,
}

/// The project's settings for the renderer.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The project's name, which is also a prefix of its macros.
    pub(crate) name: String,
    pub(crate) vars: serde_json::Map<String, serde_json::Value>,
    /// The adapter whose macros `adapter.dispatch` prefers.
    pub(crate) adapter: String,
    /// The packages whose macros the library has.
    pub(crate) packages: Vec<String>,
    /// Variables that sqlfluff's settings give to templates.
    pub(crate) context: BTreeMap<String, String>,
}

/// The strategy for placeholders, if a rendering that contains them cannot be parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Guess {
    /// Expressions that cannot be evaluated are names, or queries if only a query fits.
    #[default]
    Names,
    /// Those after a complete operand output nothing.
    Clauses,
    /// None of them outputs anything.
    Nothing,
}

/// How Jinja treats a file.
pub(crate) enum Nature {
    /// It defines only macros, tests or materializations; holds those that Jinja cannot parse.
    Macros(Vec<Fault>),
    Sql,
}

impl Renderer {
    pub(crate) fn new(settings: Settings, library: Library) -> Self {
        let library = Arc::new(library);
        let vars: BTreeMap<String, Value> =
            settings.vars.iter().map(|(name, value)| (name.clone(), from_json(value))).collect();
        let context = settings.context.iter().map(|(name, text)| (name.clone(), literal(text))).collect();
        let adapters = vec![settings.adapter, "default".to_owned()];
        let packages = settings.packages;
        let facts =
            Arc::new(Facts { name: settings.name, vars, adapters, library: library.clone(), packages });
        let mut env = Environment::new();
        env.set_debug(false);
        env.set_fuel(Some(FUEL));
        env.set_undefined_behavior(UndefinedBehavior::Chainable);
        env.set_unknown_method_callback(method);
        install(&mut env, &facts);
        let globals = env.globals().map(|(name, _)| name.to_owned()).collect();
        Self { env, globals, library, context }
    }

    /// The pieces of the file, and its nature.
    pub(crate) fn nature(&self, source: &str) -> Result<(Vec<Piece>, Nature), Fault> {
        let pieces = cut(source)?;
        let nature = if is_macro_file(source, &pieces) {
            Nature::Macros(faults(&neutral(source, &pieces), &pieces, |text| {
                let parsed = self.env.template_from_named_str("macro", text);
                parsed.map(drop).map_err(|error| reason(&error))
            }))
        } else {
            Nature::Sql
        };
        Ok((pieces, nature))
    }

    /// Renders `source`, whose pieces these are, as the model of that name.
    pub(crate) fn render(
        &self,
        source: &str,
        pieces: &[Piece],
        name: &str,
        incremental: bool,
        guess: Guess,
    ) -> Result<Rendering, Fault> {
        if let [] | [Piece { kind: Kind::Text, .. }] = pieces {
            let whole = 0..source.len();
            let slices = if source.is_empty() {
                Vec::new()
            } else {
                vec![Slice { origin: Origin::Literal, source: whole.clone(), output: whole }]
            };
            return Ok(Rendering { text: source.to_owned(), slices, is_uncertain: false });
        }
        let source = &*neutral(source, pieces);
        let mut attempt =
            Attempt { source, pieces: pieces.to_vec(), without: BTreeSet::new(), replaced: HashMap::new() };
        attempt.leave_out(guess);
        for _ in 0..TRIES {
            match self.attempt(&mut attempt, name, incremental) {
                Ok(Some(rendering)) => return Ok(rendering),
                Ok(None) => {}
                Err(fault) => return Err(fault),
            }
        }
        let reason = "too many of its parts cannot be rendered without the packages that it uses";
        Err(Fault { is_uncertain: true, ..Fault::new(0..0, reason) })
    }

    /// A rendering that reaches loops and branches which none of `seen` reached; `None` if there is nothing of the kind.
    pub(crate) fn forced(
        &self,
        source: &str,
        pieces: &[Piece],
        name: &str,
        seen: &[&Rendering],
    ) -> Option<Rendering> {
        let source = &*neutral(source, pieces);
        let replaced = unreached(source, pieces, seen);
        if replaced.is_empty() {
            return None;
        }
        let mut attempt = Attempt { source, pieces: pieces.to_vec(), without: BTreeSet::new(), replaced };
        (0..TRIES).find_map(|_| self.attempt(&mut attempt, name, false).transpose())?.ok()
    }

    /// Whether a rendering with `is_incremental()` true may differ.
    pub(crate) fn asks_whether_incremental(&self, source: &str, pieces: &[Piece]) -> bool {
        source.contains("is_incremental")
            || self.prelude(source, pieces, &BTreeSet::new()).0.contains("is_incremental")
    }

    /// The macros that the template needs, and where each ends.
    fn prelude(
        &self,
        source: &str,
        pieces: &[Piece],
        without: &BTreeSet<String>,
    ) -> (String, Vec<(usize, String)>) {
        let mut known = BTreeSet::new();
        for piece in pieces.iter().filter(|piece| matches!(piece.kind, Kind::Expression | Kind::Statement)) {
            known.extend(words(&source[piece.code.clone()]).iter().map(|word| word.text));
        }
        let mut text = String::new();
        let mut ends = Vec::new();
        for definition in self.library.reached(&known, without) {
            text.push_str(&definition.text);
            ends.push((text.len(), definition.name.clone()));
        }
        (text, ends)
    }

    /// One try. Without a rendering and without a fault, something has been left out for the next.
    fn attempt(
        &self,
        attempt: &mut Attempt<'_>,
        name: &str,
        incremental: bool,
    ) -> Result<Option<Rendering>, Fault> {
        let source = attempt.source;
        let (prelude, ends) = self.prelude(source, &attempt.pieces, &attempt.without);
        let marked = mark(source, &attempt.pieces, &prelude, &attempt.replaced)?;
        let template = match self.env.template_from_named_str("template", &marked.text) {
            Ok(template) => template,
            Err(error) => {
                let offset = error.range().map_or(marked.text.len(), |range| range.start);
                return match ends.get(ends.partition_point(|(end, _)| *end <= offset)) {
                    Some((_, broken)) if attempt.without.insert(broken.clone()) => Ok(None),
                    _ => Err(Fault::new(attempt.place(&marked, offset), reason(&error))),
                };
            }
        };
        let mut absent = template.undeclared_variables(false);
        absent.retain(|name| {
            let is_given = self.globals.contains(name) || self.context.contains_key(name);
            !is_given && !OWN.contains(&name.as_str())
        });
        if attempt.replace_queries(&absent) {
            return Ok(None);
        }
        let mut output = Bounded::default();
        let context = context(name, incremental, &absent, &self.context);
        watch();
        let rendered = template.render_captured_to(context, &mut output).map(drop);
        let is_uncertain = is_uncertain() || !attempt.replaced.is_empty() || !attempt.without.is_empty();
        let text = String::from_utf8_lossy(&output.bytes);
        match rendered {
            Ok(()) => Ok(Some(Rendering { is_uncertain, ..marked.trace(source, &text) })),
            Err(_) if output.is_full => Err(Fault::new(
                marked.last_place(&text).unwrap_or(0..0),
                format!("it renders to more than {} MiB", LARGEST >> 20),
            )),
            Err(error) => {
                let place = marked.last_place(&text).unwrap_or(0..0);
                let is_uncertain = is_uncertain || is_gap(&error);
                if is_uncertain && error.kind() != ErrorKind::OutOfFuel && attempt.replace_at(&place) {
                    return Ok(None);
                }
                Err(Fault { is_uncertain, ..Fault::new(place, reason(&error)) })
            }
        }
    }
}

/// Whether an error may be of minijinja alone, which is not Python: its values lack operators and methods.
fn is_gap(error: &Error) -> bool {
    /// Filters and tests of Jinja and of dbt that minijinja lacks.
    const FILTERS: &[&str] = &[
        "as_bool",
        "as_native",
        "as_number",
        "as_text",
        "forceescape",
        "format",
        "pprint",
        "random",
        "urlize",
        "wordcount",
        "xmlattr",
        "filesizeformat",
        "striptags",
        "sameas",
        "callable",
        "escaped",
        "truncate",
    ];
    /// Methods of Python's strings, lists, dicts, sets and dates.
    const METHODS: &[&str] = &[
        "casefold",
        "center",
        "encode",
        "expandtabs",
        "format",
        "format_map",
        "index",
        "isidentifier",
        "ljust",
        "partition",
        "removeprefix",
        "removesuffix",
        "rfind",
        "rindex",
        "rjust",
        "rpartition",
        "rsplit",
        "swapcase",
        "translate",
        "zfill",
        "insert",
        "sort",
        "reverse",
        "remove",
        "union",
        "difference",
        "intersection",
        "symmetric_difference",
        "issubset",
        "add",
        "discard",
        "popitem",
        "fromkeys",
        "match",
        "strptime",
        "total_seconds",
        "replace",
        "weekday",
        "date",
        "time",
        "timestamp",
        "decode",
        "splitlines",
    ];
    let mut deepest = error;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            deepest = inner;
        }
        cause = inner.source();
    }
    let detail = deepest.detail().unwrap_or_default();
    let names = |known: &[&str]| words(detail).iter().any(|word| known.contains(&word.text));
    match deepest.kind() {
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest => names(FILTERS),
        ErrorKind::UnknownMethod => names(METHODS),
        // Python formats with it: `"%03d" % 7`.
        ErrorKind::InvalidOperation => detail.contains("% operator") && detail.contains("string"),
        _ => false,
    }
}

/// The names that the context of each rendering gives.
const OWN: &[&str] =
    &["this", "model", "__incremental", "sql", "caller", "varargs", "kwargs", "loop", "self"];

/// A value of sqlfluff's settings: a number, a truth value, a list, or text.
fn literal(text: &str) -> Value {
    let json =
        text.replace('\'', "\"").replace("True", "true").replace("False", "false").replace("None", "null");
    serde_json::from_str::<serde_json::Value>(&json)
        .map_or_else(|_| Value::from(text.trim_matches(['"', '\''])), |json| from_json(&json))
}

fn context(
    name: &str,
    incremental: bool,
    absent: &HashSet<String>,
    given: &BTreeMap<String, Value>,
) -> Value {
    let model = [
        ("name", Value::from(name)),
        ("alias", Value::from(name)),
        ("unique_id", Value::from(format!("model.project.{name}"))),
        ("schema", Value::from("target_schema")),
        ("database", Value::from("target_database")),
        ("resource_type", Value::from("model")),
        ("config", Dict::of([("materialized", Value::from("view"))])),
        ("columns", Dict::of(Vec::<(&str, Value)>::new())),
    ];
    let own = [
        ("this".to_owned(), Relation::of(name)),
        ("model".to_owned(), Dict::of(model)),
        ("sql".to_owned(), Value::from("select 1")),
        ("__incremental".to_owned(), Value::from(incremental)),
    ];
    let given = given.iter().map(|(name, value)| (name.clone(), value.clone()));
    Value::from_pairs(
        own.into_iter().chain(given).chain(absent.iter().map(|name| (name.clone(), unknown(name)))),
    )
}

/// What to render instead of the heads of loops and branches whose text none of the renderings shows.
fn unreached(source: &str, pieces: &[Piece], seen: &[&Rendering]) -> HashMap<usize, &'static str> {
    struct Head {
        /// The position of the tag; of an `else` that of the tag which opens the block.
        at: usize,
        instead: &'static str,
        opened: usize,
        first: usize,
    }
    let mut shown: Vec<Range<usize>> = Vec::new();
    for rendering in seen {
        let texts = rendering.slices.iter().filter(|slice| slice.origin == Origin::Literal);
        shown.extend(texts.filter(|slice| !slice.output.is_empty()).map(|slice| slice.source.clone()));
    }
    shown.sort_by_key(|range| (range.start, range.end));
    let is_shown = |piece: &Piece| {
        let next = shown.partition_point(|range| range.end <= piece.range.start);
        shown.get(next).is_some_and(|range| range.start < piece.range.end)
    };
    let mut forced = HashMap::new();
    let mut settled: HashSet<usize> = HashSet::new();
    let mut open: Vec<Head> = Vec::new();
    for (index, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.kind == Kind::Statement) {
        let at = piece.range.start;
        let keyword = piece.keyword(source);
        if matches!(keyword, "elif" | "else" | "endif" | "endfor")
            && let Some(head) = open.pop()
        {
            let body = pieces[head.first..index]
                .iter()
                .filter(|piece| piece.kind == Kind::Text && !source[piece.range.clone()].trim().is_empty());
            let mut body = body.peekable();
            if body.peek().is_some() && !body.any(is_shown) && settled.insert(head.opened) {
                forced.insert(head.at, head.instead);
            }
            match keyword {
                "elif" => open.push(Head { at, instead: "true", opened: head.opened, first: index + 1 }),
                "else" => {
                    let instead = if head.instead == "rows" { "none" } else { "false" };
                    open.push(Head { at: head.opened, instead, opened: head.opened, first: index + 1 });
                }
                _ => {}
            }
        }
        match keyword {
            "if" => open.push(Head { at, instead: "true", opened: at, first: index + 1 }),
            "for" => open.push(Head { at, instead: "rows", opened: at, first: index + 1 }),
            _ => {}
        }
    }
    forced.retain(|_, instead| *instead != "none");
    forced
}

/// The text of a minijinja error, in one line and without generated names.
fn reason(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return "it takes too many steps to render: does a loop of it ever end?".to_owned();
    }
    let mut deepest = error;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            deepest = inner;
        }
        cause = inner.source();
    }
    let detail = deepest.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail}", deepest.kind()).replace('\n', " ")
}

/// Methods that Python's values have and minijinja's lack.
fn method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.kind(), method) {
        (ValueKind::Number, "strftime") => {
            let pattern = args.first().map(ToString::to_string).unwrap_or_default();
            let parts =
                [("%Y", "2024"), ("%m", "01"), ("%d", "01"), ("%H", "00"), ("%M", "00"), ("%S", "00")];
            Ok(Value::from(parts.iter().fold(pattern, |text, (code, part)| text.replace(code, part))))
        }
        (ValueKind::Number, "isoformat") => Ok(Value::from("2024-01-01T00:00:00")),
        (ValueKind::Number, _) => Ok(value.clone()),
        (ValueKind::Undefined, _) => Ok(Placeholder::of(method)),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// Takes the output until it is too large.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > LARGEST {
            self.is_full = true;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
