//! No text makes an evaluation panic, and none lets it go on for ever.

use std::sync::Arc;

use aurora_dsl::{Limits, NoImports, Options, Source, evaluate};
use proptest::prelude::*;

fn survives(text: &str) {
    let limits = Limits {
        operations: 20_000,
        ..Limits::default()
    };
    let options = Options {
        limits,
        ..Options::default()
    };
    let result = evaluate(Source::new("p.rhai", text), Arc::new(NoImports), &options);
    if let Err(diagnostics) = result {
        assert!(diagnostics.errors().count() > 0);
        assert!(!diagnostics.to_string().is_empty());
    }
}

/// Pieces that get further than random characters do.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "job",
        "service",
        "process",
        "task",
        "resources",
        "order",
        "param",
        "quota",
        "cron_job",
        "simple_task",
        "combine_tasks",
        "concat_tasks",
        "(",
        ")",
        "#{",
        "}",
        "[",
        "]",
        ":",
        ",",
        ";",
        "+",
        "name",
        "cmdline",
        "cpu",
        "ram",
        "disk",
        "processes",
        "\"a\"",
        "\"{{x}}\"",
        "`${",
        "`",
        "1",
        "-1",
        "1.5",
        "MB",
        "let x =",
        "x",
        "()",
        "if",
        "else",
        "for i in",
        "\n",
        "//",
        "/*",
        "é",
        "\u{FDD1}",
        "environment",
        "\"prod\"",
        "fn f()",
        "f()",
        "import",
        "as",
        "import \"a\" as a",
    ];
    prop_oneof![
        8 => proptest::sample::select(WORDS).prop_map(str::to_owned),
        1 => "\\PC{0,5}",
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:?}")),
        any::<bool>().prop_map(|value| value.to_string()),
        "[a-z{}$./: ]{0,12}".prop_map(|text| format!("{text:?}")),
        Just("()".to_owned()),
        Just("[]".to_owned()),
        Just("#{}".to_owned()),
        Just("simple_task(\"a\", \"b\")".to_owned()),
        Just("[process(#{ name: \"a\", cmdline: \"b\" })]".to_owned()),
        Just("resources(#{ cpu: 1, ram: 1 * GB, disk: 1 * GB })".to_owned()),
    ]
}

fn constructor() -> impl Strategy<Value = String> {
    let schema = proptest::sample::select(aurora_dsl::schema::OBJECTS);
    schema.prop_flat_map(|schema| {
        let names = schema
            .fields
            .iter()
            .map(|field| field.name)
            .collect::<Vec<_>>();
        let fields = proptest::collection::vec((proptest::sample::select(names), scalar()), 0..8);
        fields.prop_map(move |fields| {
            let mut seen = std::collections::BTreeSet::new();
            let given = fields.into_iter().filter(|(name, _)| seen.insert(*name));
            let text: Vec<String> = given
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            format!("{}(#{{ {} }});", schema.name, text.join(", "))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_ends_well(text in "\\PC{0,80}") {
        survives(&text);
    }

    #[test]
    fn any_pieces_end_well(pieces in proptest::collection::vec(piece(), 0..40)) {
        survives(&pieces.join(" "));
        survives(&pieces.concat());
    }

    #[test]
    fn any_values_of_fields_end_well(calls in proptest::collection::vec(constructor(), 1..4)) {
        survives(&calls.join("\n"));
    }
}
