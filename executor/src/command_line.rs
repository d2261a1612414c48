//! Sees which command lines need no shell.
//!
//! A shell that is given nothing but the path of a program and plain words executes the program in
//! its own place. Doing that ourselves saves the start of the shell, most of the cost of a small
//! process, and nobody can tell the difference.

/// Returns the program and its arguments if a shell would only execute them.
pub(crate) fn plain_words(cmdline: &str) -> Option<Vec<&str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:,@%+- ".contains(&byte);
    // A path is neither a builtin nor a keyword, function or alias.
    if !cmdline.starts_with('/') || !cmdline.bytes().all(is_plain) {
        return None;
    }
    Some(cmdline.split(' ').filter(|word| !word.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_after_a_path_do_without_a_shell() {
        assert_eq!(plain_words("/bin/true"), Some(vec!["/bin/true"]));
        assert_eq!(
            plain_words("/usr/bin/env  -i --port 80,81 a.b:c@d "),
            Some(vec!["/usr/bin/env", "-i", "--port", "80,81", "a.b:c@d"])
        );
        for cmdline in [
            "",
            "true",
            "./run",
            " /bin/true",
            "/bin/a=b",
            "/bin/echo $HOME",
            "/bin/echo *",
            "/bin/echo ~",
            "/bin/a; /bin/b",
            "/bin/a\n/bin/b",
            "/bin/a&",
            "/bin/echo 'x'",
            "/bin/echo {a,b}",
            "/bin/echo a\tb",
            "/bin/echo #x",
            "/bin/echo !!",
            "/bin/echo [x]",
        ] {
            assert_eq!(plain_words(cmdline), None, "{cmdline}");
        }
    }
}
