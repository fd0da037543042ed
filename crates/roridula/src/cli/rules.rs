//! `roridula rules`

use super::{Failure, out};
use crate::rules;
use crate::settings::Sources;
use clap::{Args, Subcommand};
use roridula_desk::sample::counted;
use roridula_proto::event::Text;
use roridula_triage::rules::{Hit, RuleError, Rules};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The rules that samples are compared with
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// All rules: ours, and those of your folders
    List(ListArgs),
    /// Do the rule files compile? Names each broken one with its line
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Your own rules are YARA files (*.yar, *.yara) in DIR/rules of the data directory, or in the folders of the setting
`triage.rules`. After a change: roridula triage --all

Examples:
  roridula rules list                             name, family, author, licence and file of each
  roridula rules list --json | jq -r '.[].rule'   the names")]
pub(crate) struct ListArgs {
    /// A configuration file (see `roridula config`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roridula rules check              the folders that `run` would use
  roridula rules check new.yar      a file before it goes there; exit status 1 if anything is wrong")]
pub(crate) struct CheckArgs {
    /// Files or folders, instead of the configured folders
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A configuration file (see `roridula config`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What `check` found.
#[derive(Debug, Serialize)]
struct Checked {
    files: usize,
    rules: usize,
    errors: Vec<RuleError>,
}

/// Carries it out.
pub(crate) fn run(command: &RulesCommand, data: &Path) -> Result<(), Failure> {
    match command {
        RulesCommand::List(args) => list(args, data),
        RulesCommand::Check(args) => check(args, data),
    }
}

/// Compiled rules of `folders`, how many files they are, and all that is wrong.
fn compile(folders: &[PathBuf]) -> (Rules, usize, Vec<RuleError>) {
    let (files, mut errors) = rules::read(folders);
    let (compiled, broken) = Rules::compile(&files);
    errors.extend(broken);
    (compiled, files.len(), errors)
}

fn configured(config: Option<&Path>, data: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut sources = Sources::default();
    if let Some(path) = config {
        sources.file(path)?;
    }
    Ok(rules::folders(&sources.load()?.triage.rules, data))
}

fn list(args: &ListArgs, data: &Path) -> Result<(), Failure> {
    let (compiled, _, errors) = compile(&configured(args.config.as_deref(), data)?);
    for error in &errors {
        eprintln!("roridula: left out: {}", line(error));
    }
    let all = compiled.list();
    if args.json {
        return Ok(out::json(&all)?);
    }
    let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { Text(text.to_owned()).to_string() };
    let row = |hit: &Hit| {
        [&hit.rule, &hit.family, &hit.author, &hit.licence, &hit.file].map(|text| shown(text)).into()
    };
    let mut out = out::stdout();
    let head = ["RULE", "FAMILY", "AUTHOR", "LICENCE", "FILE"];
    out::table(&mut out, &head, &all.iter().map(row).collect::<Vec<_>>())?;
    Ok(out.flush()?)
}

fn check(args: &CheckArgs, data: &Path) -> Result<(), Failure> {
    let folders =
        if args.paths.is_empty() { configured(args.config.as_deref(), data)? } else { args.paths.clone() };
    let (compiled, files, errors) = compile(&folders);
    let own = Rules::compile(&[]).0.list().len();
    let checked = Checked { files, rules: compiled.list().len().saturating_sub(own), errors };
    if args.json {
        out::json(&checked)?;
    } else {
        let mut out = out::stdout();
        for error in &checked.errors {
            writeln!(out, "{}", line(error))?;
        }
        if checked.errors.is_empty() {
            let (rules, files) = (counted(checked.rules as u64, "rule"), counted(files as u64, "file"));
            writeln!(out, "{rules} in {files}, and {own} of ours: all good.")?;
        }
        out.flush()?;
    }
    match checked.errors.len() {
        0 => Ok(()),
        1 => Err(Failure::new("1 rule file is broken and is left out; the others work")),
        broken => {
            Err(Failure::new(format!("{broken} rule files are broken and are left out; the others work")))
        }
    }
}

/// `FILE:LINE: what`
fn line(error: &RuleError) -> String {
    let place = if error.line == 0 { String::new() } else { format!(":{}", error.line) };
    Text(format!("{}{place}: {}", error.file, error.what)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_fails_the_check_and_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("rules");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("good.yar"), "rule good { condition: true }").unwrap();
        let args = CheckArgs { paths: Vec::new(), config: None, json: false };
        assert!(check(&args, dir.path()).is_ok());
        std::fs::write(folder.join("bad.yar"), "rule bad {\n condition:\n $x }").unwrap();
        assert!(check(&args, dir.path()).is_err());
        let (compiled, files, errors) = compile(&[folder]);
        assert_eq!((files, errors.len()), (2, 1));
        assert!(line(&errors[0]).contains("bad.yar:3: "), "{}", line(&errors[0]));
        assert!(compiled.list().iter().any(|hit| hit.rule == "good" && hit.file.ends_with("good.yar")));
    }
}
