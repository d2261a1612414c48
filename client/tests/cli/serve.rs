//! Options of the server, as far as they are read before anything starts.

use crate::command::Place;

#[test]
fn file_of_options_is_checked_by_name_and_value() {
    let place = Place::new();
    place.write("a.toml", "agnets = 3\n");
    place
        .run(&["scheduler", "--config", "a.toml"])
        .exits(3)
        .says("`a.toml`: `agnets`: no such option")
        .says("did you mean `agents`?");
    place.write("a.toml", "offer_hold = 'soon'\n");
    place
        .run(&["scheduler", "--config", "a.toml"])
        .exits(3)
        .says("`offer_hold`: invalid value");
    place.write("a.toml", "offer_hold = \n");
    place
        .run(&["dev", "--config", "a.toml"])
        .exits(3)
        .says("`a.toml` is no TOML");
    place
        .run(&["dev", "--config", "none.toml"])
        .exits(3)
        .says("failed to read `none.toml`");
}

#[test]
fn address_that_is_taken_is_told() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = place.path("data").display().to_string();
    place
        .run(&["scheduler", "--listen", &address, "--data-dir", &data])
        .exits(4)
        .says(&format!("failed to listen on {address}"))
        .says("--listen");
}

#[test]
fn address_comes_from_flag_then_environment_then_file() {
    let place = Place::new();
    let taken: Vec<_> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let address = |index: usize| taken[index].local_addr().unwrap().to_string();
    let data = place.path("data").display().to_string();
    place.write(
        "a.toml",
        format!("listen = '{}'\ndata_dir = '{data}'", address(0)),
    );
    let tried = |arguments: &[&str], environment: Option<String>| {
        let mut command = place.command(&["scheduler", "--config", "a.toml"]);
        command
            .args(arguments)
            .envs(environment.map(|value| ("AURORA_LISTEN", value)));
        crate::command::Run::from(command.output().unwrap()).exits(4)
    };
    tried(&[], None).says(&address(0));
    tried(&[], Some(address(1))).says(&address(1));
    tried(&["--listen", &address(2)], Some(address(1))).says(&address(2));
}

#[test]
fn wrong_job_file_stops_dev_before_it_starts() {
    let place = Place::new();
    place.write("bad.rhai", "job(#{});");
    place
        .run(&["dev", "bad.rhai"])
        .exits(3)
        .says("bad.rhai:1:1");
}
