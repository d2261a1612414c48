//! What a job demands of the hosts it runs on.

use aurora_proto::v1::{
    LimitConstraint, PlacementConstraint, ValueConstraint, placement_constraint::Kind,
};

use crate::problem::Problem;

/// Reads one entry of a job's `constraints`.
pub(crate) fn parse(attribute: &str, text: &str) -> Result<PlacementConstraint, Problem> {
    let kind = match text.trim().strip_prefix("limit:") {
        Some(limit) => Kind::Limit(LimitConstraint {
            limit: parse_limit(limit)?,
        }),
        None => Kind::Value(parse_values(text.trim())?),
    };
    Ok(PlacementConstraint {
        attribute: attribute.to_owned(),
        kind: Some(kind),
    })
}

fn parse_limit(text: &str) -> Result<u32, Problem> {
    match text.trim().parse::<u32>() {
        Ok(limit) if limit > 0 && limit <= 1_000_000 => Ok(limit),
        _ => Err(Problem::new(format!(
            "must be `limit:` and a number from 1 on, got {text:?}"
        ))
        .hint("\"limit:1\" allows one instance per host, rack, …")),
    }
}

fn parse_values(text: &str) -> Result<ValueConstraint, Problem> {
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let values: Vec<String> = rest
        .split(',')
        .map(|value| value.trim().to_owned())
        .collect();
    if values.iter().any(String::is_empty) {
        return Err(Problem::new(format!("holds an empty value: {text:?}"))
            .hint("write \"a,b\" for any of them, \"!a,b\" for none, \"limit:1\" to spread"));
    }
    Ok(ValueConstraint { negated, values })
}

/// Checks the constraint `dedicated`, which only the role itself or everyone may be named in.
pub(crate) fn dedicated(constraint: &PlacementConstraint, role: &str) -> Result<(), Problem> {
    let Some(Kind::Value(ValueConstraint {
        negated: false,
        values,
    })) = &constraint.kind
    else {
        return Err(Problem::new("must name one value"));
    };
    let [value] = &values[..] else {
        return Err(Problem::new(format!(
            "must name one value, got {}",
            values.len()
        )));
    };
    match value.split_once('/') {
        Some((owner, rest)) if (owner == role || owner == "*") && !rest.is_empty() => Ok(()),
        _ => Err(Problem::new(format!(
            "must be \"{role}/…\" or \"*/…\", got {value:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_limits_and_values() {
        let limit = parse("host", "limit:2").expect("a limit");
        assert_eq!(limit.kind, Some(Kind::Limit(LimitConstraint { limit: 2 })));
        let values = parse("rack", "!a, b").expect("values");
        let expected = ValueConstraint {
            negated: true,
            values: vec!["a".into(), "b".into()],
        };
        assert_eq!(values.kind, Some(Kind::Value(expected)));
    }

    #[test]
    fn refuses_what_can_never_match() {
        for bad in ["limit:0", "limit:x", "limit:", "limit:-1", "", "!", "a,,b"] {
            assert!(parse("host", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dedicated_hosts_belong_to_the_role() {
        let of = |text| dedicated(&parse("dedicated", text).expect("parses"), "www").is_ok();
        assert!(of("www/db") && of("*/any"));
        assert!(
            !of("ads/db") && !of("www") && !of("www/a,www/b") && !of("!www/a") && !of("limit:1")
        );
    }
}
