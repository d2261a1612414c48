//! Decides as whom the processes of a task run.

use thiserror::Error;

use crate::users::User;

/// As whom the processes of a task run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// As the executor itself, whose name this is.
    Own(String),
    /// As another account, which only root can become.
    Other(User),
}

/// An identity that cannot be taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum IdentityError {
    /// There is no such account.
    #[error("no such user: `{0}`, the role of the job, has no account on this host")]
    NoSuchUser(String),
    /// The executor has no right to become it.
    #[error("cannot run as `{0}`: the executor is not root")]
    NotRoot(String),
    /// The task asks for something unheard of.
    #[error("label `aurora.run_as` must be `role`, `role-or-self` or `self`, not `{0}`")]
    Unknown(String),
}

impl Identity {
    /// Chooses the identity for a task of `role`; `run_as` is `role`, `self`, or `role-or-self`
    /// for the role's account where it exists and can be taken, else the executor's own.
    ///
    /// # Errors
    ///
    /// Fails if the account does not exist or cannot be taken.
    pub fn choose(run_as: &str, role: &str) -> Result<Self, IdentityError> {
        match run_as {
            "self" => Ok(Self::own()),
            "role" => Self::of_role(role),
            "role-or-self" => Ok(Self::of_role(role).unwrap_or_else(|_| Self::own())),
            other => Err(IdentityError::Unknown(other.to_owned())),
        }
    }

    fn of_role(role: &str) -> Result<Self, IdentityError> {
        let user = User::by_name(role).ok_or_else(|| IdentityError::NoSuchUser(role.to_owned()))?;
        if user.uid == rustix::process::getuid().as_raw() {
            return Ok(Self::Own(user.name));
        }
        if !rustix::process::geteuid().is_root() {
            return Err(IdentityError::NotRoot(user.name));
        }
        Ok(Self::Other(user))
    }

    fn own() -> Self {
        static OWN_NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let uid = rustix::process::getuid().as_raw();
        let look_up = || User::by_uid(uid).map_or_else(|| uid.to_string(), |user| user.name);
        Self::Own(OWN_NAME.get_or_init(look_up).clone())
    }

    /// Returns the account's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Own(name) => name,
            Self::Other(user) => &user.name,
        }
    }

    /// Returns the account to change to, if any.
    #[must_use]
    pub const fn other(&self) -> Option<&User> {
        match self {
            Self::Own(_) => None,
            Self::Other(user) => Some(user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_accounts_and_wishes_are_refused() {
        assert_eq!(
            Identity::choose("role", "no-such-user"),
            Err(IdentityError::NoSuchUser("no-such-user".to_owned()))
        );
        assert_eq!(
            Identity::choose("root", "x"),
            Err(IdentityError::Unknown("root".to_owned()))
        );
        for run_as in ["self", "role-or-self"] {
            assert!(matches!(
                Identity::choose(run_as, "no-such-user"),
                Ok(Identity::Own(_))
            ));
        }
    }
}
