//! Splits Rhai text into the few kinds of token that matter for finding fields.

use std::ops::Range;

/// Strings nested deeper than this are not looked into; the interpreter refuses them as well.
const MAX_DEPTH: usize = 64;

/// A kind of token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Word,
    /// A string, of any sort.
    Text,
    /// `#{`.
    OpenMap,
    /// `(`, `[` or `{`.
    Open(u8),
    /// `)`, `]` or `}`.
    Close,
    Comma,
    Semicolon,
    Colon,
    /// `::`.
    Path,
    Other,
}

/// A token and its byte range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// Reads tokens from a byte offset on; blanks and comments are skipped.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// How many `${` are open.
    depth: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at, depth: 0 }
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Returns the next token without taking it.
    pub(super) fn peek(&self) -> Option<Token> {
        self.clone().next()
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.at += blank;
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_block_comment();
            } else {
                return;
            }
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            match (self.byte(0), self.byte(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        while self.at < self.text.len() {
            match self.byte(0) {
                b'\\' => self.at += 2,
                byte if byte == quote => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_backticks(&mut self) {
        self.at += 1;
        while self.at < self.text.len() {
            match (self.byte(0), self.byte(1)) {
                (b'`', b'`') => self.at += 2,
                (b'`', _) => {
                    self.at += 1;
                    return;
                }
                (b'$', b'{') => {
                    self.at += 2;
                    self.skip_interpolation();
                }
                _ => self.at += 1,
            }
        }
    }

    fn skip_interpolation(&mut self) {
        if self.depth >= MAX_DEPTH {
            self.at = self.text.len();
            return;
        }
        self.depth += 1;
        self.skip_to_closing();
        self.depth -= 1;
    }

    fn skip_to_closing(&mut self) {
        let mut depth = 1_usize;
        for token in self.by_ref() {
            match token.kind {
                Kind::Open(_) | Kind::OpenMap => depth += 1,
                Kind::Close => depth -= 1,
                Kind::Word
                | Kind::Text
                | Kind::Comma
                | Kind::Semicolon
                | Kind::Colon
                | Kind::Path
                | Kind::Other => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Skips `#"…"#` with any number of `#`; returns false if none begins here.
    fn skip_raw(&mut self) -> bool {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if hashes == 0 || !rest[hashes..].starts_with('"') {
            return false;
        }
        let closing = format!("\"{}", "#".repeat(hashes));
        let body = &rest[hashes + 1..];
        let length = body
            .find(&closing)
            .map_or(body.len(), |end| end + closing.len());
        self.at += hashes + 1 + length;
        true
    }

    fn single(&mut self, kind: Kind, length: usize) -> Kind {
        self.at += length;
        kind
    }

    fn kind(&mut self) -> Kind {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or(' ');
        match first {
            '"' => {
                self.skip_quoted(b'"');
                Kind::Text
            }
            '\'' => {
                self.skip_quoted(b'\'');
                Kind::Text
            }
            '`' => {
                self.skip_backticks();
                Kind::Text
            }
            '#' if rest.starts_with("#{") => self.single(Kind::OpenMap, 2),
            '#' if self.skip_raw() => Kind::Text,
            '(' => self.single(Kind::Open(b'('), 1),
            '[' => self.single(Kind::Open(b'['), 1),
            '{' => self.single(Kind::Open(b'{'), 1),
            ')' | ']' | '}' => self.single(Kind::Close, 1),
            ',' => self.single(Kind::Comma, 1),
            ';' => self.single(Kind::Semicolon, 1),
            ':' if rest.starts_with("::") => self.single(Kind::Path, 2),
            ':' => self.single(Kind::Colon, 1),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                self.single(Kind::Word, end.unwrap_or(rest.len()))
            }
            c => self.single(Kind::Other, c.len_utf8()),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let kind = self.kind();
        // An escape at the very end, or inside of a character, must not lead out of the text.
        self.at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        Some(Token {
            kind,
            range: start..self.at,
        })
    }
}

/// Returns the range of the word or sign at an offset.
pub(super) fn word_at(text: &str, offset: usize) -> Range<usize> {
    let rest = text.get(offset..).unwrap_or_default();
    let end = rest
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len());
    let first = rest.chars().next().map_or(0, char::len_utf8);
    offset..offset + end.max(first)
}
