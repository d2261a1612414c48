//! Instants of the scheduler, for people.

use chrono::DateTime;

/// Returns milliseconds since 1970 as UTC, to the second; `-` for none.
pub(crate) fn format_ms(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "-".to_owned();
    }
    DateTime::from_timestamp_millis(milliseconds).map_or_else(
        || milliseconds.to_string(),
        |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
    )
}
