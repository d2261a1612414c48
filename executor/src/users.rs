//! Looks up Unix accounts.
//!
//! Reads the files first; `getent` answers for accounts that only a directory service knows.

use std::process::{Command, Stdio};

/// A Unix account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// All its groups, the primary one first.
    pub groups: Vec<u32>,
}

impl User {
    /// Returns the account called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        // Keeps options and the fields of the files apart from names.
        if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '\0']) {
            return None;
        }
        let line = lookup("/etc/passwd", |line| line.split(':').next() == Some(name))
            .or_else(|| getent(&["passwd", name]))?;
        Self::parse(&line).map(Self::with_groups)
    }

    /// Returns the account with number `uid`.
    #[must_use]
    pub fn by_uid(uid: u32) -> Option<Self> {
        let wanted = uid.to_string();
        let line = lookup("/etc/passwd", |line| {
            line.split(':').nth(2) == Some(&wanted)
        })
        .or_else(|| getent(&["passwd", &wanted]))?;
        Self::parse(&line)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.trim_end().split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self {
            name,
            uid,
            gid,
            groups: vec![gid],
        })
    }

    fn with_groups(mut self) -> Self {
        let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
        for gid in groups_listing(&text, &self.name) {
            if !self.groups.contains(&gid) {
                self.groups.push(gid);
            }
        }
        self
    }
}

fn groups_listing<'a>(text: &'a str, user: &'a str) -> impl Iterator<Item = u32> + 'a {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let gid = fields.nth(2)?.parse().ok()?;
        fields
            .next()?
            .split(',')
            .any(|member| member.trim() == user)
            .then_some(gid)
    })
}

fn lookup(path: &str, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().find(|line| is_wanted(line)).map(str::to_owned)
}

fn getent(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("getent");
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let root = User::by_name("root").unwrap();
        assert_eq!((root.uid, root.gid, root.groups.first()), (0, 0, Some(&0)));
        assert_eq!(User::by_uid(0).unwrap().name, "root");
        for name in ["no-such-user-here", "", "-x", "root:x"] {
            assert_eq!(User::by_name(name), None, "{name}");
        }
    }

    #[test]
    fn groups_are_those_that_list_the_user() {
        let text = "adm:x:4:ann,bob\nusers:x:100:\ndocker:x:999: ann \nannex:x:7:anna\n";
        assert_eq!(groups_listing(text, "ann").collect::<Vec<_>>(), [4, 999]);
    }
}
