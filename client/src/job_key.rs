//! Names on the command line: `cluster/role/environment/name`, with instances or as patterns.

use std::{fmt::Display, str::FromStr};

use aurora_proto::v1;

use crate::instances::InstanceSet;

/// The longest that one part may be; the scheduler's own limit.
const MAX_PART: usize = 255;

/// A job in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobKey {
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) environment: String,
    pub(crate) name: String,
}

/// A job in a cluster, or some of its instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceKey {
    pub(crate) job: JobKey,
    /// Absent where the user named only the job.
    pub(crate) instances: Option<InstanceSet>,
}

/// Exactly one instance of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OneInstance {
    pub(crate) job: JobKey,
    pub(crate) instance: u32,
}

/// `cluster[/role[/env[/name]]]` with shell globs; a missing part is `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobPattern {
    pub(crate) cluster: String,
    pub(crate) role: String,
    pub(crate) environment: String,
    pub(crate) name: String,
}

impl JobKey {
    /// Returns the key of a job that the scheduler of `cluster` told about.
    pub(crate) fn in_cluster(cluster: &str, key: &v1::JobKey) -> Self {
        Self {
            cluster: cluster.to_owned(),
            role: key.role.clone(),
            environment: key.environment.clone(),
            name: key.name.clone(),
        }
    }

    /// Returns the key that a configuration declares.
    pub(crate) fn declared_by(config: &v1::JobConfiguration) -> Self {
        Self::in_cluster(&config.cluster, &config.key.clone().unwrap_or_default())
    }

    /// Returns the key as the scheduler takes it.
    pub(crate) fn to_proto(&self) -> v1::JobKey {
        v1::JobKey {
            role: self.role.clone(),
            environment: self.environment.clone(),
            name: self.name.clone(),
        }
    }

    /// Returns a filter that only this job passes; names hold no glob characters.
    pub(crate) fn filter(&self) -> v1::JobFilter {
        v1::JobFilter {
            role: self.role.clone(),
            environment: self.environment.clone(),
            name: self.name.clone(),
        }
    }
}

impl JobPattern {
    /// Returns the filter for the scheduler.
    pub(crate) fn filter(&self) -> v1::JobFilter {
        v1::JobFilter {
            role: self.role.clone(),
            environment: self.environment.clone(),
            name: self.name.clone(),
        }
    }

    /// Tells whether the pattern can match more than one job.
    pub(crate) fn is_wild(&self) -> bool {
        [&self.cluster, &self.role, &self.environment, &self.name]
            .into_iter()
            .any(|part| part.contains(['*', '?']))
    }
}

impl Display for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.cluster, self.role, self.environment, self.name
        )
    }
}

impl Display for JobPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{}",
            self.cluster, self.role, self.environment, self.name
        )
    }
}

impl FromStr for JobKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let &[cluster, role, environment, name] = parts.as_slice() else {
            let extra = if parts.len() == 5 {
                "; instances cannot be given here"
            } else {
                ""
            };
            return Err(format!(
                "a job key has four parts, CLUSTER/ROLE/ENVIRONMENT/NAME, this one has {}{extra}",
                parts.len()
            ));
        };
        Ok(Self {
            cluster: part("cluster", cluster)?,
            role: part("role", role)?,
            environment: part("environment", environment)?,
            name: part("name", name)?,
        })
    }
}

impl FromStr for InstanceKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut slashes = text.match_indices('/').map(|(at, _)| at);
        let Some(fourth) = slashes.nth(3) else {
            return Ok(Self {
                job: text.parse()?,
                instances: None,
            });
        };
        let (key, instances) = (&text[..fourth], &text[fourth + 1..]);
        let job = key.parse()?;
        // As in Aurora, a trailing slash with nothing behind it means all.
        let instances = match instances {
            "" => None,
            instances => Some(instances.parse()?),
        };
        Ok(Self { job, instances })
    }
}

impl FromStr for OneInstance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let InstanceKey { job, instances } = text.parse()?;
        let one = instances.as_ref().and_then(InstanceSet::only);
        one.map(|instance| Self { job, instance }).ok_or_else(|| {
            "exactly one instance is needed, as in CLUSTER/ROLE/ENV/NAME/0".to_owned()
        })
    }
}

impl FromStr for JobPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 4 {
            return Err(format!(
                "a pattern has at most four parts, CLUSTER/ROLE/ENVIRONMENT/NAME, this one has {}",
                parts.len()
            ));
        }
        let take = |index: usize, what: &str| match parts.get(index) {
            Some(&text) => pattern_part(what, text),
            None => Ok("*".to_owned()),
        };
        Ok(Self {
            cluster: take(0, "cluster")?,
            role: take(1, "role")?,
            environment: take(2, "environment")?,
            name: take(3, "name")?,
        })
    }
}

/// Tells whether `text` matches a pattern of `*` and `?`.
pub(crate) fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*`, were it to swallow one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

fn part(what: &str, text: &str) -> Result<String, String> {
    checked(
        what,
        text,
        is_name_char,
        "letters, digits, `_`, `-` and `.`",
    )
}

fn pattern_part(what: &str, text: &str) -> Result<String, String> {
    checked(
        what,
        text,
        |c| is_name_char(c) || matches!(c, '*' | '?'),
        "letters, digits, `_`, `-`, `.`, and the wildcards `*` and `?`",
    )
}

fn checked(
    what: &str,
    text: &str,
    allowed: impl Fn(char) -> bool,
    description: &str,
) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if text.len() > MAX_PART {
        return Err(format!("the {what} is longer than {MAX_PART} characters"));
    }
    match text.chars().find(|&c| !allowed(c)) {
        Some(wrong) => Err(format!(
            "the {what} holds {wrong:?}; allowed are {description}"
        )),
        None => Ok(text.to_owned()),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_parsed_and_printed_back() {
        let key: JobKey = "local/www-data/prod/web.1".parse().unwrap();
        assert_eq!(key.role, "www-data");
        assert_eq!(key.to_string(), "local/www-data/prod/web.1");
    }

    #[test]
    fn wrong_keys_say_what_is_wrong() {
        let cases = [
            ("local/a/b", "four parts"),
            ("local/a/b/c/0", "instances cannot be given here"),
            ("local//prod/web", "the role is empty"),
            ("local/a/pr od/web", "the environment holds ' '"),
            ("local/a/prod/w*", "the name holds '*'"),
            ("", "four parts"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<JobKey>().unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let long = format!("local/a/b/{}", "x".repeat(256));
        assert!(
            long.parse::<JobKey>()
                .unwrap_err()
                .contains("longer than 255")
        );
    }

    #[test]
    fn instances_follow_the_key() {
        let key: InstanceKey = "local/a/b/c/0-3,5".parse().unwrap();
        assert_eq!(key.instances.unwrap().to_string(), "0-3,5");
        let key: InstanceKey = "local/a/b/c".parse().unwrap();
        assert_eq!(key.instances, None);
        let key: InstanceKey = "local/a/b/c/".parse().unwrap();
        assert_eq!(key.instances, None);
        for wrong in [
            "local/a/b/c/1/2",
            "local/a/b/c/x",
            "local/a/b/c/1-2-3",
            "local/a/b/c/3-1",
        ] {
            assert!(wrong.parse::<InstanceKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_instance_is_one() {
        let one: OneInstance = "local/a/b/c/7".parse().unwrap();
        assert_eq!(one.instance, 7);
        for wrong in ["local/a/b/c", "local/a/b/c/0-1", "local/a/b/c/0,2"] {
            assert!(wrong.parse::<OneInstance>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn missing_parts_of_a_pattern_match_all() {
        let pattern: JobPattern = "local/www-*".parse().unwrap();
        assert_eq!(pattern.to_string(), "local/www-*/*/*");
        assert!(pattern.is_wild());
        assert!(!"local/a/b/c".parse::<JobPattern>().unwrap().is_wild());
        assert!("a/b/c/d/e".parse::<JobPattern>().is_err());
        assert!("a/[x]".parse::<JobPattern>().is_err());
    }

    #[test]
    fn globs_match_as_in_a_shell() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("?", "", false),
            ("*b*", "abc", true),
            ("a?c*", "abcabc", true),
            ("abc", "ab", false),
        ] {
            assert_eq!(glob_matches(pattern, text), matches, "{pattern} {text}");
        }
    }
}
