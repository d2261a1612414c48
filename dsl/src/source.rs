//! Where the text of job files comes from.
//!
//! This crate opens nothing: the caller hands in the first file and a loader for imports.

use std::collections::BTreeMap;

/// The text of one file and the name that diagnostics show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A name that is the same for every way to reach the file; cycles are found by it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Makes a source of a name and a text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// Drops the byte order mark that some editors put first: it is no part of the text.
    pub(crate) fn without_mark(mut self) -> Self {
        if self.text.starts_with('\u{feff}') {
            self.text.remove(0);
        }
        self
    }
}

/// Why an imported file cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// There is no such file; holds where it was looked for.
    #[error("no file `{0}`")]
    NotFound(String),
    /// The path leads out of the directory that imports may come from.
    #[error("`{0}` lies outside of the directory of the job file")]
    OutsideRoot(String),
    /// The file is not UTF-8 text.
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    /// Anything else, in the loader's words.
    #[error("{0}")]
    Other(String),
}

/// Finds the files that `import` names.
pub trait SourceLoader {
    /// Resolves the import path `path` as written in the file named `from`.
    ///
    /// The path has no `.rhai` unless the user wrote it. Implementations refuse whatever lies
    /// outside of the root they serve, also by way of links.
    fn load(&self, from: &str, path: &str) -> Result<Source, LoadError>;
}

/// A loader for files without imports: finds nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImports;

impl SourceLoader for NoImports {
    fn load(&self, _from: &str, path: &str) -> Result<Source, LoadError> {
        Err(LoadError::NotFound(path.to_owned()))
    }
}

/// A loader over texts in memory, for tests and for input that has no directory.
///
/// Paths are relative to the importing file, `..` may not leave the top.
#[derive(Debug, Clone, Default)]
pub struct MemoryLoader {
    files: BTreeMap<String, String>,
}

impl MemoryLoader {
    /// Makes a loader that knows no file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file under a path such as `lib/common.rhai`.
    pub fn with(mut self, path: impl Into<String>, text: impl Into<String>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl SourceLoader for MemoryLoader {
    fn load(&self, from: &str, path: &str) -> Result<Source, LoadError> {
        let outside = || LoadError::OutsideRoot(path.to_owned());
        if path.starts_with('/') {
            return Err(outside());
        }
        let mut parts: Vec<&str> = from.split('/').collect();
        parts.pop();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(outside)?;
                }
                name => parts.push(name),
            }
        }
        let mut name = parts.join("/");
        if !name.ends_with(".rhai") {
            name.push_str(".rhai");
        }
        match self.files.get(&name) {
            Some(text) => Ok(Source::new(name, text.clone())),
            None => Err(LoadError::NotFound(name)),
        }
    }
}
