//! The TOML file of `--config`: one key for each option, by the option's name.
//!
//! What the file says is turned into arguments, so that values are read, checked and explained in
//! one place, whether they come from a flag, the environment or the file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use toml::{Table, Value};

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    nearest::nearest,
};

/// Options that make no sense in the file itself.
const NOT_IN_FILE: [&str; 3] = ["config", "help", "version"];

/// Returns the arguments that stand for those options of the file that nothing outweighs.
pub(super) fn arguments(
    command: &Command,
    verb: &str,
    matches: &ArgMatches,
) -> CliResult<Vec<String>> {
    let Some(path) = matches.get_one::<PathBuf>("config") else {
        return Ok(Vec::new());
    };
    let wrong = |message: String| CliError::new(ExitStatus::InvalidConfig, message);
    let text = fs::read_to_string(path)
        .map_err(|error| wrong(format!("failed to read `{}`", path.display())).caused_by(&error))?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        wrong(format!("`{}` is no TOML", path.display())).caused_by(&error)
    })?;
    from_table(&table, path, command, verb, matches)
}

fn from_table(
    table: &Table,
    path: &Path,
    command: &Command,
    verb: &str,
    matches: &ArgMatches,
) -> CliResult<Vec<String>> {
    let Some(definition) = command.find_subcommand(verb) else {
        return Ok(Vec::new());
    };
    let wrong = |key: &str, what: &str| {
        let message = format!("`{}`: `{key}`: {what}", path.display());
        CliError::new(ExitStatus::InvalidConfig, message)
    };
    let mut arguments = Vec::new();
    for (key, value) in table {
        let Some(option) = find_option(definition, key) else {
            let names = option_names(definition).map(|name| name.replace('-', "_"));
            let names: Vec<String> = names.collect();
            let near = nearest(&key.replace('-', "_"), names.iter().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
            let hint = near.unwrap_or_else(|| format!("`aurora-rs {verb} --help` lists them"));
            return Err(wrong(key, "no such option").hint(hint));
        };
        let own = as_arguments(option, value).map_err(|what| wrong(key, &what))?;
        check(command, verb, &own).map_err(|what| wrong(key, &what))?;
        let source = matches.value_source(option.get_id().as_str());
        let outweighed = matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        );
        if !outweighed {
            arguments.extend(own);
        }
    }
    Ok(arguments)
}

fn option_names(definition: &Command) -> impl Iterator<Item = &str> {
    definition
        .get_arguments()
        .filter_map(Arg::get_long)
        .filter(|name| !NOT_IN_FILE.contains(name))
}

fn find_option<'a>(definition: &'a Command, key: &str) -> Option<&'a Arg> {
    let name = key.replace('_', "-");
    let known = option_names(definition).any(|known| known == name);
    let option = definition
        .get_arguments()
        .find(|option| option.get_long() == Some(&name));
    option.filter(|_| known)
}

fn as_arguments(option: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let name = option.get_long().unwrap_or_default();
    let is_flag = matches!(option.get_action(), ArgAction::SetTrue);
    let scalar = |value: &Value| match value {
        Value::String(text) => Ok(format!("--{name}={text}")),
        Value::Integer(number) => Ok(format!("--{name}={number}")),
        Value::Float(number) => Ok(format!("--{name}={number}")),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            Err(format!("a value of type {} does not fit", value.type_str()))
        }
    };
    match value {
        Value::Boolean(true) if is_flag => Ok(vec![format!("--{name}")]),
        Value::Boolean(false) if is_flag => Ok(Vec::new()),
        _ if is_flag => Err("must be true or false".to_owned()),
        Value::Array(items) if matches!(option.get_action(), ArgAction::Append) => {
            items.iter().map(scalar).collect()
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_) => Ok(vec![scalar(value)?]),
    }
}

/// Reads one option alone, so that what is wrong with it is told with the file's name.
fn check(command: &Command, verb: &str, arguments: &[String]) -> Result<(), String> {
    let line = ["aurora-rs", verb]
        .into_iter()
        .chain(arguments.iter().map(String::as_str));
    let Err(error) = command.clone().try_get_matches_from(line) else {
        return Ok(());
    };
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    Err(first.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser, Subcommand};

    use super::*;
    use crate::commands::serve::options::OptionArgs;

    #[derive(Parser)]
    #[command(name = "aurora-rs")]
    struct Probe {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(Subcommand)]
    enum Verb {
        Scheduler {
            #[command(flatten)]
            options: OptionArgs,
            #[arg(long)]
            allow_run_as_self: bool,
        },
    }

    fn read(line: &[&str], file: &str) -> CliResult<Vec<String>> {
        let line = ["aurora-rs", "scheduler"]
            .into_iter()
            .chain(line.iter().copied());
        let matches = Probe::command().try_get_matches_from(line).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let table: Table = file.parse().unwrap();
        let command = Probe::command();
        from_table(&table, Path::new("a.toml"), &command, "scheduler", matches)
    }

    #[test]
    fn file_is_turned_into_arguments() {
        let arguments = read(
            &[],
            "agents = 3\nagent_cpus = 1.5\noffer-hold = '2m'\nallow_run_as_self = true\n\
             agent_attribute = ['rack=a', 'zone=b']",
        );
        let mut arguments = arguments.unwrap();
        arguments.sort_unstable();
        assert_eq!(
            arguments,
            [
                "--agent-attribute=rack=a",
                "--agent-attribute=zone=b",
                "--agent-cpus=1.5",
                "--agents=3",
                "--allow-run-as-self",
                "--offer-hold=2m",
            ]
        );
        let Verb::Scheduler {
            options,
            allow_run_as_self,
        } = Probe::try_parse_from(
            ["aurora-rs", "scheduler"]
                .into_iter()
                .chain(arguments.iter().map(String::as_str)),
        )
        .unwrap()
        .verb;
        assert!(allow_run_as_self);
        assert_eq!(options.listen_or_default().port(), 8081);
    }

    #[test]
    fn flag_outweighs_the_file() {
        assert!(read(&["--agents", "2"], "agents = 3").unwrap().is_empty());
    }

    #[test]
    fn wrong_files_name_the_key() {
        for (file, expected) in [
            ("agnets = 3", "did you mean `agents`?"),
            ("config = 'x'", "`config`: no such option"),
            ("agents = 'many'", "invalid value 'many'"),
            ("agents = [1]", "a value of type array does not fit"),
            ("allow_run_as_self = 'yes'", "must be true or false"),
            ("engine = 'mesos'", "not in this build yet"),
            ("[agents]\nx = 1", "does not fit"),
        ] {
            let error = read(&[], file).unwrap_err();
            assert_eq!(error.status(), ExitStatus::InvalidConfig);
            let text = error.to_string();
            assert!(
                text.contains(expected) && text.contains("a.toml"),
                "{file}: {text}"
            );
        }
    }
}
