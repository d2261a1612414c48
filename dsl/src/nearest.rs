//! Guesses what name was meant.

/// Returns the candidate that is most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Comparing is quadratic; nobody mistypes a name of this length.
    const LONGEST: usize = 100;
    if name.len() > LONGEST {
        return None;
    }
    let lower = name.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let score = strsim::jaro_winkler(&lower, &candidate.to_lowercase());
        if best.is_none_or(|(highest, _)| score > highest) {
            best = Some((score, candidate));
        }
    }
    best.filter(|(score, _)| *score >= 0.8)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_typing_errors_only() {
        let names = ["cmdline", "daemon", "max_failures"];
        assert_eq!(nearest("cmdlin", names), Some("cmdline"));
        assert_eq!(nearest("maxFailures", names), Some("max_failures"));
        assert_eq!(nearest("zone", names), None);
    }
}
