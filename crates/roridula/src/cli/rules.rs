//! `roridula rules`

use super::{Failure, out};
use crate::rules;
use crate::settings::Sources;
use clap::{Args, Subcommand};
use roridula_desk::sample::counted;
use roridula_proto::event::Text;
use roridula_triage::rules::{Hit, RuleError, RuleFile, Rules};
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The rules that samples are compared with
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// All rules: ours, and those of your folders
    List(ListArgs),
    /// Do the rule files compile, and are they fast? Names each broken one with its line, and each slow one
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
  roridula rules check new.yar      a file before it goes there; exit status 1 if anything is broken or slow")]
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
    /// Files whose rules are too slow for samples.
    slow: Vec<SlowFile>,
}

/// A file that works and takes too long.
#[derive(Debug, Serialize)]
struct SlowFile {
    file: String,
    /// Milliseconds that its rules took.
    millis: u64,
    /// For so many bytes.
    bytes: usize,
}

/// Carries it out.
pub(crate) fn run(command: &RulesCommand, data: &Path) -> Result<(), Failure> {
    match command {
        RulesCommand::List(args) => list(args, data),
        RulesCommand::Check(args) => check(args, data),
    }
}

/// Compiled rules of `folders`, the files that they are, and all that is wrong.
fn compile(folders: &[PathBuf]) -> (Rules, Vec<RuleFile>, Vec<RuleError>) {
    let (files, mut errors) = rules::read(folders);
    let (compiled, broken) = Rules::compile(&files);
    errors.extend(broken);
    (compiled, files, errors)
}

/// Bytes that rules are tried on.
const TRIED_BYTES: usize = 64 * 1024;

/// How slow a file is, if it is too slow.
fn slow(file: &RuleFile) -> Option<SlowFile> {
    let (took, bytes) = rules::slow(file, &look_alike(TRIED_BYTES))?;
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    Some(SlowFile { file: file.name.clone(), millis, bytes })
}

/// Bytes that begin as a PE file does and go on as letters by chance, without a line's end: where expressions that may
/// begin anywhere are slow.
fn look_alike(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; 0x100];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x4c\x01");
    let mut state = 1u32;
    bytes.resize_with(len, || {
        // A linear congruential generator, with the constants of "Numerical Recipes".
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'A' + (state >> 24) as u8 % 58
    });
    bytes
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
    let slow = files.iter().filter_map(slow).collect();
    let rules = compiled.list().len().saturating_sub(own);
    let checked = Checked { files: files.len(), rules, errors, slow };
    if args.json {
        out::json(&checked)?;
    } else {
        let mut out = out::stdout();
        for error in &checked.errors {
            writeln!(out, "{}", line(error))?;
        }
        for SlowFile { file, millis, bytes } in &checked.slow {
            let warning = format!(
                "{file}: slow: {millis} ms for {bytes} bytes. Triage waits for such rules until its time is \
                 over, and goes on without this file"
            );
            writeln!(out, "{}", Text(warning))?;
        }
        if checked.errors.is_empty() {
            let good = if checked.slow.is_empty() { "all good" } else { "they compile" };
            let (rules, files) =
                (counted(checked.rules as u64, "rule"), counted(checked.files as u64, "file"));
            writeln!(out, "{rules} in {files}, and {own} of ours: {good}.")?;
        }
        out.flush()?;
    }
    verdict(&checked)
}

/// What is wrong, in a line: neither broken files nor slow ones hide the others.
fn verdict(checked: &Checked) -> Result<(), Failure> {
    let slow = checked.slow.len() as u64;
    let are = |count: u64| if count == 1 { "is" } else { "are" };
    let broken = match checked.errors.len() as u64 {
        0 if slow == 0 => return Ok(()),
        0 => return Err(Failure::new(format!("too slow: {}", counted(slow, "rule file")))),
        broken => {
            let are = are(broken);
            format!("{} {are} broken and {are} left out", counted(broken, "rule file"))
        }
    };
    Err(Failure::new(match slow {
        0 => format!("{broken}; the others work"),
        slow => format!("{broken}; {slow} {} too slow; the others work", are(slow)),
    }))
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
        assert_eq!((files.len(), errors.len()), (2, 1));
        assert!(line(&errors[0]).contains("bad.yar:3: "), "{}", line(&errors[0]));
        assert!(compiled.list().iter().any(|hit| hit.rule == "good" && hit.file.ends_with("good.yar")));
    }

    #[test]
    fn broken_files_and_slow_ones_are_told_together() {
        let told = |broken: usize, slow: usize| {
            let error = || RuleError { file: "b.yar".to_owned(), line: 1, what: "syntax error".to_owned() };
            let slow_file = || SlowFile { file: "s.yar".to_owned(), millis: 900, bytes: 1024 };
            let errors = std::iter::repeat_with(error).take(broken).collect();
            let slow = std::iter::repeat_with(slow_file).take(slow).collect();
            verdict(&Checked { files: 4, rules: 2, errors, slow }).err().map(|Failure(what)| what)
        };
        let expect = |broken, slow, what: &str| assert_eq!(told(broken, slow).as_deref(), Some(what));
        assert_eq!(told(0, 0), None);
        expect(0, 2, "too slow: 2 rule files");
        expect(1, 0, "1 rule file is broken and is left out; the others work");
        expect(2, 0, "2 rule files are broken and are left out; the others work");
        expect(1, 1, "1 rule file is broken and is left out; 1 is too slow; the others work");
        expect(2, 3, "2 rule files are broken and are left out; 3 are too slow; the others work");
    }

    #[test]
    fn a_slow_file_is_named_and_a_quick_one_is_not() {
        let file = |text: &str| RuleFile { name: "a.yar".to_owned(), text: text.to_owned() };
        // The engine looks at no clock inside of such expressions.
        let found = slow(&file(
            "rule slow { strings: $a = /(a|aa|aaa)*b.*c.*d/ $b = /.*.*.*x/ condition: any of them }",
        ));
        let found = found.expect("the slow file is told");
        assert!(found.file == "a.yar" && found.bytes <= TRIED_BYTES, "{found:?}");
        assert!(slow(&file("rule quick { strings: $a = \"needle\" condition: $a }")).is_none());
    }
}
