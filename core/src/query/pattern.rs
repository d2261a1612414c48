//! Shell globs over the parts of a job key.

use aurora_proto::v1::{JobFilter, JobKey};
use regex::Regex;

use crate::call::{ApiError, ErrorCode};

/// The longest glob.
const MAX_GLOB: usize = 255;

/// A filter for jobs, ready to be matched.
#[derive(Debug)]
pub(crate) struct JobPattern {
    role: Part,
    environment: Part,
    name: Part,
}

#[derive(Debug)]
enum Part {
    Any,
    Exactly(String),
    Glob(Regex),
}

impl JobPattern {
    /// Reads a filter; an absent one matches every job.
    pub(crate) fn new(filter: Option<&JobFilter>) -> Result<Self, ApiError> {
        let part = |glob: fn(&JobFilter) -> &String| Part::new(filter.map_or("", |f| glob(f)));
        Ok(Self {
            role: part(|filter| &filter.role)?,
            environment: part(|filter| &filter.environment)?,
            name: part(|filter| &filter.name)?,
        })
    }

    pub(crate) fn matches(&self, key: &JobKey) -> bool {
        self.role.matches(&key.role)
            && self.environment.matches(&key.environment)
            && self.name.matches(&key.name)
    }

    /// The one job that can match, if the filter names it in full.
    pub(crate) fn exact_path(&self) -> Option<String> {
        match (&self.role, &self.environment, &self.name) {
            (Part::Exactly(role), Part::Exactly(environment), Part::Exactly(name)) => {
                Some(format!("{role}/{environment}/{name}"))
            }
            _ => None,
        }
    }
}

impl Part {
    fn new(glob: &str) -> Result<Self, ApiError> {
        if glob.len() > MAX_GLOB {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                "a pattern in `filter` is longer than 255 characters",
            ));
        }
        if glob.is_empty() || glob == "*" {
            return Ok(Self::Any);
        }
        if !glob.contains(['*', '?']) {
            return Ok(Self::Exactly(glob.to_owned()));
        }
        let pattern: String = glob
            .chars()
            .map(|c| match c {
                '*' => ".*".to_owned(),
                '?' => ".".to_owned(),
                c => regex::escape(c.encode_utf8(&mut [0; 4])),
            })
            .collect();
        Regex::new(&format!("^{pattern}$"))
            .map(Self::Glob)
            .map_err(|error| {
                ApiError::new(
                    ErrorCode::InvalidArgument,
                    format!("`{glob}` in `filter` is no pattern: {error}"),
                )
            })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => exactly == text,
            Self::Glob(regex) => regex.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, text: &str) -> bool {
        Part::new(glob).unwrap().matches(text)
    }

    #[test]
    fn globs_match_as_in_a_shell() {
        assert!(matches("", "x") && matches("*", "x") && matches("web", "web"));
        assert!(matches("w*b", "web") && matches("w?b", "web") && matches("*.v2", "a.v2"));
        assert!(!matches("w?b", "weeb") && !matches("web", "web2") && !matches("a.c", "abc"));
        assert!(!matches("a.c*", "abcd"));
    }
}
