//! Reads durations as Mesos prints them: a number and a unit, such as `15mins` or `1.5secs`.

use std::time::Duration;

use thiserror::Error;

/// A text that is no Mesos duration.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a duration: expected a number and one of ns, us, ms, secs, mins, hrs, days, weeks"
)]
pub struct ParseDurationError(String);

/// Parses `text`, for example `15mins`, `2secs` or `1.5hrs`.
///
/// # Errors
///
/// Fails for an unknown unit, and for a number that is negative, not finite or too large.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let refused = || ParseDurationError(text.to_owned());
    let trimmed = text.trim();
    let unit_at = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .ok_or_else(refused)?;
    let (number, unit) = trimmed.split_at(unit_at);
    let seconds_per_unit = match unit.trim() {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "sec" | "secs" => 1.0,
        "min" | "mins" => 60.0,
        "hr" | "hrs" => 3_600.0,
        "day" | "days" => 86_400.0,
        "week" | "weeks" => 604_800.0,
        _ => return Err(refused()),
    };
    let number: f64 = number.parse().map_err(|_| refused())?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| refused())
}

/// Prints `duration` so that [`parse_duration`] and Mesos read it back.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        return format!("{}secs", duration.as_secs());
    }
    if duration.subsec_nanos().is_multiple_of(1_000_000) {
        return format!("{}ms", duration.as_millis());
    }
    format!("{}ns", duration.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_mesos_prints() {
        for (text, expected) in [
            ("15mins", Duration::from_secs(900)),
            ("2secs", Duration::from_secs(2)),
            ("1.5mins", Duration::from_secs(90)),
            ("250ms", Duration::from_millis(250)),
            ("10us", Duration::from_micros(10)),
            ("3weeks", Duration::from_secs(3 * 604_800)),
            ("1hrs", Duration::from_secs(3_600)),
            ("0ns", Duration::ZERO),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "5",
            "secs",
            "-1secs",
            "1.2.3secs",
            "5 parsecs",
            "1e400secs",
            "99999999999999999999weeks",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for nanos in [
            0,
            1,
            999,
            1_000_000,
            1_500_000_000,
            60_000_000_000,
            86_399_999_999_999,
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(
                parse_duration(&format_duration(duration)),
                Ok(duration),
                "{nanos}"
            );
        }
    }
}
