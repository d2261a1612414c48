//! Finds the place of a field in the text of a file.
//!
//! The interpreter knows only where a call begins. From there the map literals among the call's
//! arguments are read again, so that a fault can be shown at its field. A field that came in by
//! way of a variable is looked for where the variable was made.

mod lexer;
mod literals;

use std::{ops::Range, sync::Arc};

use self::literals::{Node, argument_node, variable_node};
use crate::diagnostics::Location;

/// Characters of a source line that a diagnostic carries at most.
const WINDOW: usize = 160;

/// One step from a call's arguments to a value in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A field of a map.
    Key(String),
    /// An element of an array.
    Index(usize),
}

/// The text of one file with its line starts.
#[derive(Debug)]
pub(crate) struct SourceText {
    name: Arc<str>,
    text: String,
    line_starts: Vec<usize>,
}

impl SourceText {
    pub(crate) fn new(name: Arc<str>, text: String) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Self {
            name,
            text,
            line_starts,
        }
    }

    /// Returns the place of the value that `path` leads to from the call at `line` and `column`,
    /// or of as much of the path as can be found, or of the call itself.
    pub(crate) fn field(&self, line: usize, column: usize, path: &[Step]) -> Location {
        let Some(offset) = self.offset(line, column) else {
            return self.at(line, column);
        };
        if let Some(range) = self.field_range(offset, path) {
            return self.location(range);
        }
        self.location(lexer::word_at(&self.text, offset))
    }

    fn field_range(&self, offset: usize, path: &[Step]) -> Option<Range<usize>> {
        let (first, rest) = path.split_first()?;
        let arguments = argument_node(&self.text, offset)?;
        let mut node = match arguments.step(first) {
            Some(node) => node,
            None => self.in_variables(&arguments, offset, first)?,
        };
        for step in rest {
            match node.step(step) {
                Some(inner) => node = inner,
                // The value is not written here; its holder is the nearest thing that is.
                None => break,
            }
        }
        Some(node.range)
    }

    fn in_variables(&self, arguments: &Node, offset: usize, step: &Step) -> Option<Node> {
        // The last operand of `a + b + #{…}` wins, as at run time.
        let mut found = arguments.variables.iter().rev();
        found.find_map(|name| variable_node(&self.text, offset, name)?.step(step))
    }

    /// Returns the place at a line and column, one word long.
    pub(crate) fn at(&self, line: usize, column: usize) -> Location {
        match self.offset(line, column) {
            Some(offset) => self.location(lexer::word_at(&self.text, offset)),
            None => Location {
                file: self.name.to_string(),
                line: line.max(1),
                column: column.max(1),
                length: 1,
                source_line: String::new(),
                caret: 0,
            },
        }
    }

    /// Returns the place of the name in `fn name`.
    pub(crate) fn function(&self, name: &str) -> Option<Location> {
        let mut lexer = lexer::Lexer::new(&self.text, 0);
        while let Some(token) = lexer.next() {
            if self.text.get(token.range) != Some("fn") {
                continue;
            }
            let word = lexer.peek()?;
            if self.text.get(word.range.clone()) == Some(name) {
                return Some(self.location(word.range));
            }
        }
        None
    }

    /// Returns the number of the last line that holds anything.
    pub(crate) fn last_line(&self) -> usize {
        self.text.trim_end().matches('\n').count() + 1
    }

    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        // The interpreter's positions end at 65,535; beyond that they point anywhere.
        if line == 0 || line >= usize::from(u16::MAX) || column >= usize::from(u16::MAX) {
            return None;
        }
        let start = *self.line_starts.get(line - 1)?;
        let rest = &self.text[start..];
        let line_text = rest.split('\n').next().unwrap_or_default();
        let mut offsets = line_text.char_indices().map(|(at, _)| start + at);
        Some(
            offsets
                .nth(column.saturating_sub(1))
                .unwrap_or(start + line_text.len()),
        )
    }

    fn location(&self, range: Range<usize>) -> Location {
        let line_idx = self
            .line_starts
            .partition_point(|start| *start <= range.start)
            - 1;
        let start = self.line_starts[line_idx];
        let line = self.text[start..]
            .split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r');
        let before = self.text[start..range.start].chars().count();
        let end = range.end.min(start + line.len());
        let length = self
            .text
            .get(range.start..end)
            .map_or(1, |text| text.trim_end().chars().count());
        let (source_line, caret) = window(line, before);
        Location {
            file: self.name.to_string(),
            line: line_idx + 1,
            column: before + 1,
            length: length.max(1),
            source_line,
            caret,
        }
    }
}

/// Returns what is shown of a line, and how many characters of that stand before `before`.
fn window(line: &str, before: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= WINDOW {
        return (line.to_owned(), before);
    }
    const CUT: char = '…';
    let skipped = before.saturating_sub(WINDOW / 4);
    let mut shown: Vec<char> = line.chars().skip(skipped).take(WINDOW).collect();
    // Marks take the place of characters, so that the columns stay.
    if skipped > 0
        && let Some(first) = shown.first_mut()
    {
        *first = CUT;
    }
    if skipped + WINDOW < length
        && let Some(last) = shown.last_mut()
    {
        *last = CUT;
    }
    (shown.into_iter().collect(), before - skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, line: usize, column: usize, path: &[Step]) -> String {
        let source = SourceText::new("f".into(), text.to_owned());
        let place = source.field(line, column, path);
        let marked: String = place
            .source_line
            .chars()
            .skip(place.caret)
            .take(place.length)
            .collect();
        format!("{}:{} {marked}", place.line, place.column)
    }

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    #[test]
    fn finds_fields_of_nested_literals() {
        let text = "job(#{ a: 1, // b: 2\n  b: #{ c: [x(#{ d: 1 }), #{ d: 2 }] } })";
        assert_eq!(found(text, 1, 1, &[key("a")]), "1:8 a: 1");
        assert_eq!(
            found(text, 1, 1, &[key("b")]),
            "2:3 b: #{ c: [x(#{ d: 1 }), #{ d: 2 }] }"
        );
        let inner = [key("b"), key("c"), Step::Index(1), key("d")];
        assert_eq!(found(text, 1, 1, &inner), "2:30 d: 2");
        assert_eq!(found(text, 1, 1, &[key("nowhere")]), "1:1 job");
    }

    #[test]
    fn literals_inside_of_strings_do_not_count() {
        let text = "f(#{ a: `x ${g(#{ b: 1 })} \"`, b: \"}\\\"{\", 'c': 1, \"d\": '\"', e: 5 })";
        assert_eq!(found(text, 1, 1, &[key("b")]), "1:32 b: \"}\\\"{\"");
        assert_eq!(found(text, 1, 1, &[key("e")]), "1:61 e: 5");
    }

    #[test]
    fn the_last_operand_wins() {
        let text = "let base = #{ a: 1, b: 2 };\nf(base + #{ a: 3 })";
        assert_eq!(found(text, 2, 1, &[key("a")]), "2:13 a: 3");
        assert_eq!(found(text, 2, 1, &[key("b")]), "1:21 b: 2");
    }

    #[test]
    fn operators_are_calls_too() {
        assert_eq!(found("x + #{ a: 3 }", 1, 3, &[key("a")]), "1:8 a: 3");
    }

    #[test]
    fn long_lines_are_cut_with_marks() {
        let text = format!(
            "let s = \"{}\"; f(#{{ a: 1 }}); {}",
            "é".repeat(300),
            "x".repeat(300)
        );
        assert_eq!(found(&text, 1, 313, &[key("a")]), "1:318 a: 1");
        let place = SourceText::new("f".into(), text).field(1, 313, &[key("a")]);
        assert_eq!(place.source_line.chars().count(), WINDOW);
        assert!(place.source_line.starts_with('…') && place.source_line.ends_with('…'));
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(
            found("é; f(#{ ü: 1, a: 2 })", 1, 4, &[key("a")]),
            "1:15 a: 2"
        );
    }
}
