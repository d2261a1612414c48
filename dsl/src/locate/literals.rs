//! Reads the map and array literals of an expression.

use std::ops::Range;

use super::{
    Step,
    lexer::{Kind, Lexer},
};

/// Literals nested deeper than this are not looked into; the interpreter refuses them as well.
const MAX_DEPTH: usize = 100;

/// A value as written: where, and what literals it consists of.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// From the key, if it has one, to the end of the value.
    pub(super) range: Range<usize>,
    /// Fields of all map literals that the value is put together from, in order.
    fields: Vec<(String, Self)>,
    /// Elements, if the value begins with an array literal.
    items: Vec<Self>,
    /// Names in the value that may be variables.
    pub(super) variables: Vec<String>,
}

impl Node {
    /// Returns the value one step on.
    pub(super) fn step(&self, step: &Step) -> Option<Self> {
        match step {
            Step::Key(key) => {
                let mut last = self.fields.iter().rev();
                last.find(|(name, _)| name == key)
                    .map(|(_, node)| node.clone())
            }
            Step::Index(index) => self.items.get(*index).cloned(),
        }
    }

    fn absorb(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.variables.extend(other.variables);
    }
}

/// Reads the arguments of the call, or the right operand of the operator, at `offset`.
///
/// All arguments are taken together; positional arguments are the node's items.
pub(super) fn argument_node(text: &str, offset: usize) -> Option<Node> {
    let mut lexer = Lexer::new(text, offset);
    if lexer.peek()?.kind != Kind::Word {
        lexer.next()?;
        return Some(expression(&mut lexer, 0));
    }
    loop {
        let token = lexer.next()?;
        match token.kind {
            Kind::Open(b'(') => break,
            Kind::Word | Kind::Path => {}
            Kind::Text
            | Kind::OpenMap
            | Kind::Open(_)
            | Kind::Close
            | Kind::Comma
            | Kind::Semicolon
            | Kind::Colon
            | Kind::Other => return None,
        }
    }
    let mut node = Node::default();
    for item in list(&mut lexer, 0) {
        node.absorb(item.clone());
        node.items.push(item);
    }
    Some(node)
}

/// Reads the value that was last given to `name` by `let` or `const` before `offset`.
pub(super) fn variable_node(text: &str, offset: usize, name: &str) -> Option<Node> {
    let mut lexer = Lexer::new(text, 0);
    let mut declared = None;
    while let Some(token) = lexer.next() {
        if token.range.start >= offset {
            break;
        }
        if token.kind != Kind::Word || !matches!(&text[token.range], "let" | "const") {
            continue;
        }
        let Some(word) = lexer.peek() else { break };
        if &text[word.range.clone()] == name {
            declared = Some(word.range.end);
        }
    }
    let mut lexer = Lexer::new(text, declared?);
    let sign = lexer.next()?;
    (&text[sign.range] == "=").then(|| expression(&mut lexer, 0))
}

/// Reads expressions up to the closing bracket and takes that as well.
fn list(lexer: &mut Lexer<'_>, depth: usize) -> Vec<Node> {
    let mut items = Vec::new();
    loop {
        let before = lexer.at;
        let item = expression(lexer, depth);
        if item.range.start < item.range.end {
            items.push(item);
        }
        match lexer.next() {
            Some(token) if token.kind == Kind::Close => return items,
            Some(_) if lexer.at > before => {}
            _ => return items,
        }
    }
}

/// Reads up to a comma, semicolon or closing bracket of the level it began on.
fn expression(lexer: &mut Lexer<'_>, depth: usize) -> Node {
    let mut node = Node::default();
    let mut previous = None;
    let mut start = None;
    while let Some(token) = lexer.peek() {
        if matches!(token.kind, Kind::Comma | Kind::Semicolon | Kind::Close) {
            break;
        }
        let first = start.is_none();
        start.get_or_insert(token.range.start);
        lexer.next();
        match token.kind {
            _ if depth >= MAX_DEPTH => {}
            Kind::OpenMap => fields(lexer, depth + 1, &mut node),
            // A call has a place of its own, and an index is no part of the value.
            Kind::Open(b'(' | b'[') if previous == Some(Kind::Word) => {
                let called = node.variables.pop();
                drop(called);
                list(lexer, depth + 1).clear();
            }
            Kind::Open(b'[') if first => node.items = list(lexer, depth + 1),
            Kind::Open(_) => {
                for inner in list(lexer, depth + 1) {
                    node.absorb(inner);
                }
            }
            Kind::Word => node
                .variables
                .push(lexer.text[token.range.clone()].to_owned()),
            Kind::Text
            | Kind::Close
            | Kind::Comma
            | Kind::Semicolon
            | Kind::Colon
            | Kind::Path
            | Kind::Other => {}
        }
        previous = Some(token.kind);
        node.range.end = lexer.at;
    }
    node.range.start = start.unwrap_or(node.range.end);
    node
}

/// Reads `key: value, …}` after `#{`.
fn fields(lexer: &mut Lexer<'_>, depth: usize, node: &mut Node) {
    while let Some(key) = lexer.next() {
        match key.kind {
            Kind::Close => return,
            Kind::Word | Kind::Text => {}
            Kind::OpenMap
            | Kind::Open(_)
            | Kind::Comma
            | Kind::Semicolon
            | Kind::Colon
            | Kind::Path
            | Kind::Other => continue,
        }
        if lexer.peek().is_none_or(|token| token.kind != Kind::Colon) {
            continue;
        }
        lexer.next();
        let mut value = expression(lexer, depth);
        value.range.start = key.range.start;
        value.range.end = value.range.end.max(key.range.end);
        let name = lexer.text[key.range].trim_matches(|c| matches!(c, '"' | '\'' | '`'));
        node.fields.push((name.to_owned(), value));
        if lexer.peek().is_some_and(|token| token.kind != Kind::Close) {
            lexer.next();
        }
    }
}
