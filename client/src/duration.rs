//! Durations as users write them: `30s`, `5m`, `1h 30m`; a bare number is seconds.

use std::time::Duration;

/// Reads a duration.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 30s, 5m or 1h30m"))
}

/// Returns a duration in words.
pub(crate) fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
