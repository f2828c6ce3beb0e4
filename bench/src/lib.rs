//! `./dev bench`: Millrace measured beside what else one could use, in one run on one machine.
//!
//! - `load`: the load program
//! - `rig`: what everything is measured on: broker, databases, stand-ins, processes
//! - `contenders`: the servers that take webhooks
//! - `rows`: the rows of the table of targets, and the tables of growth
//! - `report`: the result as JSON, tables and charts
//!
//! How each row is measured: docs/performance.md.

mod contenders;
pub mod load;
pub mod measure;
mod options;
pub mod report;
mod rig;
mod rows;
mod signing;

use std::path::Path;

pub use self::options::{Command, Options, Place, Scale};
use self::report::Report;
use self::rig::Bench;
use self::rig::machine::Machine;

/// Measures what the options ask for, and tells the result.
///
/// Returns false when the guard has found that a rate collapsed.
///
/// # Errors
/// When something could not be measured: a part does not come up, a message is lost or doubled, an
/// answer is not 2xx.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let bench = Bench::start(options).await?;
    match bench.options.command {
        Some(Command::Growth) => {
            rows::growth(&bench).await?;
            return Ok(true);
        }
        Some(Command::Guard) => return rows::guard(&bench).await,
        None => {}
    }
    let machine = Machine::look(&bench).await?;
    let findings = rows::measure(&bench).await?;
    let report = Report {
        machine,
        rows: findings.rows,
        figures: findings.figures,
    };
    println!("\n{}\n{}", report.figures(), report.targets());
    tell(&bench, &report)?;
    Ok(true)
}

fn tell(bench: &Bench, report: &Report) -> anyhow::Result<()> {
    let root: &Path = &bench.options.root;
    let file = bench.options.results().join("latest.json");
    report.write(&file)?;
    println!("{}", file.display());
    if bench.options.is_full() {
        report::publish(report, &root.join("docs"))?;
        println!("{}", root.join("docs/performance.md").display());
    }
    Ok(())
}
