//! The grammar of cron schedules: Aurora's five fields.
//!
//! Only says whether a schedule is one; when it fires is the scheduler's business.

use crate::{nearest::nearest, problem::Problem};

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

struct Unit {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the values from `min` on.
    names: &'static [&'static str],
}

const UNITS: [Unit; 5] = [
    Unit {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    Unit {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    Unit {
        name: "day of month",
        min: 1,
        max: 31,
        names: &[],
    },
    Unit {
        name: "month",
        min: 1,
        max: 12,
        names: &MONTHS,
    },
    Unit {
        name: "day of week",
        min: 0,
        max: 6,
        names: &DAYS,
    },
];

/// Checks a schedule such as `30 2 * * 1-5`.
pub(crate) fn check(schedule: &str) -> Result<(), Problem> {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if let [word] = fields[..]
        && word.starts_with('@')
    {
        return Err(Problem::new(format!("does not know {word:?}"))
            .hint("write five fields: \"0 * * * *\" is hourly, \"0 0 * * *\" daily"));
    }
    if fields.len() != UNITS.len() {
        return Err(Problem::new(format!(
            "must have five fields, got {} in {schedule:?}",
            fields.len()
        ))
        .hint("minute, hour, day of month, month, day of week: \"30 2 * * 1-5\""));
    }
    for (unit, field) in UNITS.iter().zip(&fields) {
        for part in field.split(',') {
            unit.part(part).map_err(|found| found.at(unit, field))?;
        }
    }
    if fields[2] != "*" && fields[4] != "*" {
        return Err(
            Problem::new("must not restrict both the day of month and the day of week")
                .hint("make one of them `*`; declare two jobs if you mean either"),
        );
    }
    impossible_date(fields[2], fields[3])
}

/// What is wrong with a part of a field.
struct Fault {
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn new(message: String) -> Self {
        Self {
            message,
            hint: None,
        }
    }

    fn at(self, unit: &Unit, field: &str) -> Problem {
        let message = format!("has a bad {} {field:?}: {}", unit.name, self.message);
        Problem {
            message,
            hint: self.hint,
        }
    }
}

impl Unit {
    fn part(&self, part: &str) -> Result<(), Fault> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let Some(step) = step else {
            return self.range(range).map(drop);
        };
        let last = match (range, range.contains('-')) {
            ("*", _) => self.max,
            (_, true) => self.range(range)?,
            (_, false) => {
                let mut fault = Fault::new(format!("a step needs `*` or a range, got {range:?}"));
                fault.hint = Some(format!("write \"{range}-{}/{step}\"", self.max));
                return Err(fault);
            }
        };
        match number(step) {
            Some(0) | None => Err(Fault::new(format!("{step:?} is no step"))),
            Some(step) if range != "*" && step >= last => Err(Fault::new(format!(
                "the step {step} must be smaller than {last}"
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Checks `*`, a value or a range; returns the last value.
    fn range(&self, range: &str) -> Result<u32, Fault> {
        if range == "*" {
            return Ok(self.max);
        }
        let Some((first, last)) = range.split_once('-') else {
            return self.value(range);
        };
        let (low, high) = (self.value(first)?, self.value(last)?);
        if low > high {
            let mut fault = Fault::new(format!("a range must not go backwards, got {range:?}"));
            fault.hint = Some(format!(
                "write \"{first}-{},{}-{last}\"",
                self.max, self.min
            ));
            return Err(fault);
        }
        Ok(high)
    }

    fn value(&self, text: &str) -> Result<u32, Fault> {
        if let Some(value) = number(text) {
            if (self.min..=self.max).contains(&value) {
                return Ok(value);
            }
            let mut fault = Fault::new(format!(
                "{value} is not within {} to {}",
                self.min, self.max
            ));
            fault.hint = (value == 7 && self.max == 6).then(|| "Sunday is 0 or SUN".to_owned());
            return Err(fault);
        }
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text));
        if let Some(index) = named.and_then(|index| u32::try_from(index).ok()) {
            return Ok(self.min + index);
        }
        let mut fault = Fault::new(format!("{text:?} is no {}", self.name));
        let guess = nearest(text, self.names.iter().copied());
        fault.hint = guess.map(|name| format!("did you mean {name}?"));
        Err(fault)
    }
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Refuses dates that no year has, such as the 31st of February.
fn impossible_date(day: &str, month: &str) -> Result<(), Problem> {
    const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (Some(day), Some(month)) = (number(day), UNITS[3].value(month).ok()) else {
        return Ok(());
    };
    let length = usize::try_from(month - 1)
        .ok()
        .and_then(|index| LENGTHS.get(index));
    if length.is_none_or(|length| day <= *length) {
        return Ok(());
    }
    Err(Problem::new(format!(
        "never fires: month {month} has no day {day}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_grammar_of_aurora() {
        for good in [
            "* * * * *",
            "0 0 1 1 *",
            "30 2 * * 1-5",
            "*/5 0-23/2 * * *",
            "0,15,30-45/5 1 * jan-Mar,DEC sun,MON-fri",
            "0 0 29 2 *",
            "  1   2 * * 0 ",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        for (bad, message) in [
            ("* * * *", "must have five fields, got 4"),
            ("0 * * * * *", "must have five fields, got 6"),
            ("@daily", "does not know \"@daily\""),
            ("60 * * * *", "bad minute \"60\": 60 is not within 0 to 59"),
            ("* 24 * * *", "bad hour"),
            ("* * 0 * *", "bad day of month"),
            ("* * * 13 *", "bad month"),
            ("* * * * 7", "bad day of week"),
            ("* * * * FRI-MON", "must not go backwards"),
            ("*/0 * * * *", "is no step"),
            ("5/20 * * * *", "a step needs"),
            ("1-5/5 * * * *", "must be smaller"),
            ("* * L * *", "\"L\" is no day of month"),
            ("* * * * MUN", "\"MUN\" is no day of week"),
            ("0 0 1 * 1", "must not restrict both"),
            ("0 0 31 2 *", "never fires"),
            (", * * * *", "is no minute"),
            ("-1 * * * *", "is no minute"),
            ("4294967296 * * * *", "is no minute"),
        ] {
            let problem = check(bad).expect_err(bad);
            assert!(
                problem.message.contains(message),
                "{bad}: {}",
                problem.message
            );
        }
    }
}
