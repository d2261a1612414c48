//! The clusters that keys can name: `clusters.json` files and the built-in `local`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    job_key::glob_matches,
    nearest::nearest,
    output::Output,
};

/// The cluster that always exists.
pub(crate) const LOCAL: &str = "local";
const LOCAL_URI: &str = "http://127.0.0.1:8081";

/// One cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// Absent where the file gives no address that this client can use.
    pub(crate) scheduler_uri: Option<String>,
    /// The file that declares it; absent for the built-in one.
    pub(crate) declared_in: Option<PathBuf>,
}

/// Every known cluster, by name.
#[derive(Clone, Debug)]
pub(crate) struct Clusters {
    by_name: BTreeMap<String, Cluster>,
}

impl Clusters {
    /// Reads the files of this machine and user.
    pub(crate) fn load(output: Output) -> CliResult<Self> {
        let mut clusters = Self::built_in();
        for path in search_path(|name| std::env::var_os(name).map(PathBuf::from)) {
            match fs::read_to_string(&path) {
                Ok(text) => {
                    for warning in clusters.merge(&path, &text)? {
                        output.warning(&warning);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let message = format!("failed to read `{}`", path.display());
                    return Err(CliError::new(ExitStatus::InvalidConfig, message).caused_by(&error));
                }
            }
        }
        Ok(clusters)
    }

    fn built_in() -> Self {
        let local = Cluster {
            name: LOCAL.to_owned(),
            scheduler_uri: Some(LOCAL_URI.to_owned()),
            declared_in: None,
        };
        Self {
            by_name: BTreeMap::from([(LOCAL.to_owned(), local)]),
        }
    }

    /// Adds the clusters of one file, each replacing a former one of its name whole.
    fn merge(&mut self, path: &Path, text: &str) -> CliResult<Vec<String>> {
        let wrong = |what: String| {
            let message = format!("`{}` is no list of clusters: {what}", path.display());
            CliError::new(ExitStatus::InvalidConfig, message)
                .hint("write a JSON list of objects with `name` and `scheduler_uri`")
        };
        let document: Value =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let entries: Vec<Value> = match document {
            Value::Array(entries) => entries,
            // Aurora takes an object too and ignores its keys.
            Value::Object(map) => map.into_iter().map(|(_, entry)| entry).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(wrong("neither a list nor an object".to_owned()));
            }
        };
        let mut warnings = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(fields) = entry.as_object() else {
                return Err(wrong(format!("entry {} is no object", index + 1)));
            };
            let Some(name) = fields.get("name").and_then(Value::as_str) else {
                let path = path.display();
                warnings.push(format!(
                    "`{path}`: entry {} has no `name`; skipped",
                    index + 1
                ));
                continue;
            };
            let scheduler_uri = match fields.get("scheduler_uri") {
                Some(Value::String(uri)) => Some(uri.clone()),
                None | Some(Value::Null) => None,
                Some(_) => return Err(wrong(format!("`scheduler_uri` of `{name}` is no string"))),
            };
            let declared_in = Some(path.to_owned());
            let cluster = Cluster {
                name: name.to_owned(),
                scheduler_uri,
                declared_in,
            };
            self.by_name.insert(name.to_owned(), cluster);
        }
        Ok(warnings)
    }

    /// Returns the cluster of that name.
    pub(crate) fn get(&self, name: &str) -> CliResult<&Cluster> {
        self.by_name.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
            let suggestion = nearest(name, known.iter().copied())
                .map(|near| format!("did you mean `{near}`? "))
                .unwrap_or_default();
            CliError::new(
                ExitStatus::InvalidConfig,
                format!("unknown cluster `{name}`"),
            )
            .hint(format!(
                "{suggestion}known clusters: {}; add others to ~/.aurora/clusters.json",
                known.join(", ")
            ))
        })
    }

    /// Returns the clusters whose name matches a pattern; a name without wildcards must exist.
    pub(crate) fn matching(&self, pattern: &str) -> CliResult<Vec<&Cluster>> {
        if !pattern.contains(['*', '?']) {
            return Ok(vec![self.get(pattern)?]);
        }
        let found: Vec<&Cluster> = self
            .by_name
            .values()
            .filter(|cluster| glob_matches(pattern, &cluster.name))
            .collect();
        if found.is_empty() {
            // Fails with the list of those that exist.
            self.get(pattern)?;
        }
        Ok(found)
    }
}

impl Cluster {
    /// Returns the address of the scheduler.
    pub(crate) fn uri(&self) -> CliResult<&str> {
        self.scheduler_uri.as_deref().ok_or_else(|| {
            let file = self
                .declared_in
                .as_deref()
                .unwrap_or_else(|| Path::new("clusters.json"));
            let message = format!("cluster `{}` has no `scheduler_uri`", self.name);
            CliError::new(ExitStatus::InvalidConfig, message).hint(format!(
                "add one in `{}`; finding the scheduler through ZooKeeper is not in this release",
                file.display()
            ))
        })
    }
}

/// Returns the files to read, in order; later ones replace earlier ones.
fn search_path(var: impl Fn(&str) -> Option<PathBuf>) -> Vec<PathBuf> {
    let mut directories = vec![PathBuf::from("/etc/aurora")];
    directories.extend(var("AURORA_CONFIG_ROOT").filter(|path| !path.as_os_str().is_empty()));
    directories.extend(var("HOME").map(|home| home.join(".aurora")));
    directories
        .into_iter()
        .map(|directory| directory.join("clusters.json"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(texts: &[&str]) -> CliResult<Clusters> {
        let mut clusters = Clusters::built_in();
        for text in texts {
            clusters.merge(Path::new("c.json"), text)?;
        }
        Ok(clusters)
    }

    #[test]
    fn local_always_exists_and_can_be_replaced() {
        let clusters = merged(&[]).unwrap();
        assert_eq!(clusters.get("local").unwrap().uri().unwrap(), LOCAL_URI);
        let clusters = merged(&[r#"[{"name": "local", "scheduler_uri": "http://h:1"}]"#]).unwrap();
        assert_eq!(clusters.get("local").unwrap().uri().unwrap(), "http://h:1");
    }

    #[test]
    fn later_file_replaces_a_cluster_whole() {
        let clusters = merged(&[
            r#"[{"name": "a", "scheduler_uri": "http://one"}, {"name": "b", "zk": "z"}]"#,
            r#"{"x": {"name": "a", "zk": "zoo", "extra": 1}}"#,
        ])
        .unwrap();
        let error = clusters.get("a").unwrap().uri().unwrap_err();
        assert!(error.to_string().contains("ZooKeeper"), "{error}");
        assert!(clusters.get("b").is_ok());
    }

    #[test]
    fn unknown_cluster_names_the_nearest() {
        let error = merged(&[]).unwrap().get("locl").unwrap_err();
        assert_eq!(error.status(), ExitStatus::InvalidConfig);
        assert!(
            error.to_string().contains("did you mean `local`?"),
            "{error}"
        );
    }

    #[test]
    fn broken_files_are_refused_with_their_place() {
        for (text, expected) in [
            ("[{", "line 1 column"),
            ("3", "neither a list nor an object"),
            ("[3]", "entry 1 is no object"),
            (r#"[{"name": "a", "scheduler_uri": 3}]"#, "no string"),
        ] {
            let error = merged(&[text]).unwrap_err();
            assert_eq!(error.status(), ExitStatus::InvalidConfig);
            assert!(error.to_string().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn nameless_entries_are_skipped() {
        let mut clusters = Clusters::built_in();
        let warnings = clusters
            .merge(Path::new("c.json"), r#"[{"zk": "a"}]"#)
            .unwrap();
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn patterns_find_clusters() {
        let clusters = merged(&[r#"[{"name": "eu-1"}, {"name": "eu-2"}]"#]).unwrap();
        assert_eq!(clusters.matching("eu-*").unwrap().len(), 2);
        assert_eq!(clusters.matching("*").unwrap().len(), 3);
        assert!(clusters.matching("us-*").is_err());
    }

    #[test]
    fn user_file_is_read_last() {
        let path = search_path(|name| Some(PathBuf::from(format!("/{name}"))));
        let shown: Vec<_> = path.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(
            shown,
            [
                "/etc/aurora/clusters.json",
                "/AURORA_CONFIG_ROOT/clusters.json",
                "/HOME/.aurora/clusters.json"
            ]
        );
    }
}
