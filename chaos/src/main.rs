//! `millrace-chaos`: see the library's documentation, or `./dev chaos`.

use std::process::ExitCode;

use chaos::{Options, run};
use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("millrace-chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}
