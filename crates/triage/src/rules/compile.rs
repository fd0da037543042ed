//! From texts to a scanner.

use super::builtin::BUILTIN;
use super::{RuleError, RuleFile};
use crate::reference;
use boreal::compiler::{AddRuleError, CompilerParams};
use boreal::{Compiler, Scanner};
use sha2::{Digest, Sha256};

/// Variables that `yara`'s users expect to be there (the public rule sets name them). A sample has no file name, so
/// they are empty.
const EXTERNALS: [&str; 5] = ["filename", "filepath", "extension", "filetype", "owner"];

/// Our own rules.
pub(super) fn own() -> (Scanner, Vec<String>, Vec<RuleError>) {
    compile(&BUILTIN.map(|(_, text)| ("builtin", text)))
}

/// The rules of `files`.
pub(super) fn of(files: &[RuleFile]) -> (Scanner, Vec<String>, Vec<RuleError>) {
    let files: Vec<_> = files.iter().map(|file| (file.name.as_str(), file.text.as_str())).collect();
    compile(&files)
}

/// The scanner's namespaces are the numbers of the returned names.
fn compile(files: &[(&str, &str)]) -> (Scanner, Vec<String>, Vec<RuleError>) {
    let names = || files.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (compiler, broken) = add(files, &[]);
    if broken.is_empty() {
        return (compiler.finalize(), names(), Vec::new());
    }
    // The engine keeps the rules in front of an error. Half a file is worse than none: once more, without it.
    let numbers: Vec<usize> = broken.iter().map(|(number, _)| *number).collect();
    let (compiler, _) = add(files, &numbers);
    (compiler.finalize(), names(), broken.into_iter().map(|(_, error)| error).collect())
}

/// A compiler with all files but those that `skip` (ascending) names, and what is wrong with which.
fn add(files: &[(&str, &str)], skip: &[usize]) -> (Compiler, Vec<(usize, RuleError)>) {
    let mut compiler = Compiler::new();
    // Files are read by others, within the rule folder: the engine opens none.
    compiler.set_params(CompilerParams::default().disable_includes(true));
    for name in EXTERNALS {
        compiler.define_symbol(name, "");
    }
    let mut broken = Vec::new();
    for (number, (name, text)) in files.iter().enumerate() {
        if skip.binary_search(&number).is_ok() {
            continue;
        }
        if let Err(error) = compiler.add_rules_str_in_namespace(text, number.to_string()) {
            broken.push((number, told(name, text, &error)));
        }
    }
    (compiler, broken)
}

fn told(file: &str, text: &str, error: &AddRuleError) -> RuleError {
    let diagnostic = error.to_diagnostic();
    let line = diagnostic.labels.first().map_or(0, |label| {
        let before = text.bytes().take(label.range.start).filter(|&byte| byte == b'\n').count();
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    });
    RuleError { file: file.to_owned(), line, what: diagnostic.message.replace('\n', " ") }
}

/// 16 hexadecimal digits of the SHA-256 over all names and texts, with their lengths. The reference data are one of
/// them: a verdict is made of both.
pub(super) fn digest(files: &[RuleFile]) -> String {
    let own = BUILTIN.iter().map(|(name, text)| (*name, *text));
    let theirs = files.iter().map(|file| (file.name.as_str(), file.text.as_str()));
    let mut hash = Sha256::new();
    let reference = ("reference", reference::digest());
    for part in own.chain([reference]).chain(theirs).flat_map(|(name, text)| [name, text]) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
