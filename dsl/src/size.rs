//! Sizes in bytes, as numbers and as strings such as "256MB".

use rhai::{Dynamic, ImmutableString};

/// The units of a job file, in bytes.
pub(crate) const UNITS: [(&str, i64); 5] = [
    ("BYTES", 1),
    ("KB", 1 << 10),
    ("MB", 1 << 20),
    ("GB", 1 << 30),
    ("TB", 1 << 40),
];

/// Why a value is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    NotASize,
    Fraction,
}

/// Returns the bytes that a value of a script means.
pub(crate) fn of(dynamic: &Dynamic) -> Result<i64, Problem> {
    if let Ok(value) = dynamic.as_int() {
        return Ok(value);
    }
    if let Ok(value) = dynamic.as_float() {
        return whole(value);
    }
    match dynamic.read_lock::<ImmutableString>() {
        Some(text) => parse(&text),
        None => Err(Problem::NotASize),
    }
}

fn whole(value: f64) -> Result<i64, Problem> {
    const LARGEST: f64 = 1e18;
    if !value.is_finite() || value.abs() > LARGEST {
        return Err(Problem::NotASize);
    }
    if value.fract() != 0.0 {
        return Err(Problem::Fraction);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
    Ok(value as i64)
}

fn parse(text: &str) -> Result<i64, Problem> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_uppercase();
    let factor = match unit.as_str() {
        "B" | "BYTES" => 1,
        "KB" | "KIB" | "K" => 1 << 10,
        "MB" | "MIB" | "M" => 1 << 20,
        "GB" | "GIB" | "G" => 1 << 30,
        "TB" | "TIB" | "T" => 1 << 40,
        _ => return Err(Problem::NotASize),
    };
    if let Ok(whole) = number.parse::<i64>() {
        return whole.checked_mul(factor).ok_or(Problem::NotASize);
    }
    let value: f64 = number.parse().map_err(|_| Problem::NotASize)?;
    #[expect(clippy::cast_precision_loss, reason = "powers of two are exact")]
    whole(value * factor as f64)
}

/// Writes a size in the largest unit that divides it.
pub(crate) fn text(bytes: i64) -> String {
    let units = UNITS
        .iter()
        .rev()
        .find(|(_, unit)| bytes != 0 && bytes % unit == 0);
    match units {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} BYTES"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_or_strings_with_units() {
        for (value, bytes) in [
            (Dynamic::from(5_i64), Ok(5)),
            (Dynamic::from(0.5_f64 * 1_073_741_824.0), Ok(536_870_912)),
            (Dynamic::from(0.5_f64), Err(Problem::Fraction)),
            (Dynamic::from(f64::NAN), Err(Problem::NotASize)),
            ("256MB".into(), Ok(256 << 20)),
            (" 1.5 gb ".into(), Ok(3 << 29)),
            ("12".into(), Err(Problem::NotASize)),
            ("MB".into(), Err(Problem::NotASize)),
            ("1e3MB".into(), Err(Problem::NotASize)),
            ("99999999999TB".into(), Err(Problem::NotASize)),
            ("-1MB".into(), Err(Problem::NotASize)),
        ] {
            assert_eq!(of(&value), bytes, "{value}");
        }
    }

    #[test]
    fn texts_use_the_largest_unit() {
        assert_eq!(text(256 << 20), "256 MB");
        assert_eq!(text(1_500), "1500 BYTES");
        assert_eq!(text(0), "0 BYTES");
    }
}
