//! Items of lists that the parser has matched, by shape: two items whose tokens differ only in names, numbers and texts
//! that no grammar knows are matched in the same way. A match refers to tokens by number and holds no text.

use std::collections::{HashMap, HashSet};
use std::sync::{OnceLock, PoisonError, RwLock};

use sqruff_lib_core::dialects::syntax::SyntaxKind;
use sqruff_lib_core::parser::Parser;
use sqruff_lib_core::parser::context::ParseContext;
use sqruff_lib_core::parser::match_result::MatchResult;
use sqruff_lib_core::parser::matchable::{Matchable, MatchableTrait as _, MatchableTraitImpl};
use sqruff_lib_core::parser::segments::ErasedSegment;

use super::parts::Item;

/// More shapes than that are not kept; each takes a few kilobytes.
const MOST: usize = 4096;

/// The shapes of one dialect and its settings.
#[derive(Default)]
pub(super) struct Shapes {
    known: OnceLock<HashSet<String>>,
    found: RwLock<HashMap<Vec<u8>, Option<MatchResult>>>,
}

impl Shapes {
    /// The match of such an item, which `search` finds at the first time.
    pub(super) fn find(
        &self,
        parser: &Parser<'_>,
        item: Item,
        tokens: &[ErasedSegment],
        search: impl FnOnce() -> Option<MatchResult>,
    ) -> Option<MatchResult> {
        let known = self.known.get_or_init(|| known(parser));
        let shape = shape(item, tokens, known);
        if let Some(found) = self.found.read().unwrap_or_else(PoisonError::into_inner).get(&shape) {
            return found.clone();
        }
        let found = search();
        let mut all = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST {
            all.insert(shape, found.clone());
        }
        found
    }
}

/// Whatever of the tokens may make a difference to a grammar.
fn shape(item: Item, tokens: &[ErasedSegment], known: &HashSet<String>) -> Vec<u8> {
    let mut shape = vec![item as u8];
    for token in tokens {
        shape.extend((token.get_type() as u16).to_le_bytes());
        if token.is_code() {
            match class(token, known) {
                Some(class) => shape.push(class),
                None => shape.extend(token.raw().as_bytes()),
            }
        }
        // Where the parser puts indents depends on the tags of templates around them.
        shape.extend(token.template_info().map(|info| info.block_type as u8 + 1));
        shape.push(0);
    }
    shape
}

/// The class of a token whose text does not matter otherwise. The patterns of the grammars distinguish names that begin
/// with an underscore or have letters alone, and texts of hexadecimal digits or one character.
fn class(token: &ErasedSegment, known: &HashSet<String>) -> Option<u8> {
    const NAME: u8 = 1 << 4;
    const NUMBER: u8 = 2 << 4;
    const TEXT: u8 = 3 << 4;
    let raw = token.raw().as_str();
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match token.get_type() {
        SyntaxKind::NumericLiteral if raw.bytes().all(|byte| byte.is_ascii_digit()) => Some(NUMBER),
        SyntaxKind::Word => {
            let has_letter = raw.bytes().any(|byte| byte.is_ascii_alphabetic());
            let is_name =
                is_plain(raw) && has_letter && !raw.starts_with(|first: char| first.is_ascii_digit());
            if !is_name || known.contains(&raw.to_ascii_uppercase()) {
                return None;
            }
            let is_alphabetic = raw.bytes().all(|byte| byte.is_ascii_alphabetic());
            Some(NAME | u8::from(raw.starts_with('_')) | u8::from(is_alphabetic) << 1)
        }
        SyntaxKind::SingleQuote => {
            let text = raw.strip_prefix('\'')?.strip_suffix('\'')?;
            if text.is_empty() || !is_plain(text) || known.contains(&raw.to_ascii_uppercase()) {
                return None;
            }
            let is_hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            Some(TEXT | u8::from(is_hexadecimal) | u8::from(text.len() == 1) << 1)
        }
        _ => None,
    }
}

/// The words that the grammar of an item knows, in upper case.
fn known(parser: &Parser<'_>) -> HashSet<String> {
    let dialect = parser.dialect();
    let context = ParseContext::new(dialect, parser.indentation_config());
    let sets = ["reserved_keywords", "unreserved_keywords", "future_reserved_keywords"];
    let mut known: HashSet<String> =
        sets.into_iter().flat_map(|set| dialect.sets(set)).map(str::to_uppercase).collect();
    let mut seen = HashSet::new();
    let mut left: Vec<Matchable> = Item::ALL.iter().map(|item| dialect.r#ref(item.grammar())).collect();
    while let Some(grammar) = left.pop() {
        if !seen.insert(std::ptr::from_ref(&*grammar).addr()) {
            continue;
        }
        if let MatchableTraitImpl::StringParser(_) | MatchableTraitImpl::MultiStringParser(_) = &*grammar {
            known.extend(grammar.simple(&context, None).into_iter().flat_map(|(words, _)| words));
        }
        if let Some(name) = referred(&grammar) {
            // In some dialects the grammar of a keyword is missing.
            if name.chars().any(char::is_lowercase) {
                left.push(dialect.r#ref(&name));
            }
            known.insert(name.to_uppercase());
        }
        left.extend(grammar.match_grammar(dialect));
        left.extend(grammar.validation_children().into_iter().cloned());
    }
    known
}

/// The name of the grammar that a reference refers to, which only its debug form has.
fn referred(grammar: &Matchable) -> Option<String> {
    let shown = format!("{:?}", grammar.as_ref()?);
    let name = shown.strip_prefix("<Ref: ")?.strip_suffix('>')?;
    Some(name.strip_suffix(" [opt]").unwrap_or(name).to_owned())
}
