//! Reads what nobody should see.

use crate::cli::Failure;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write};

/// Asks for one line on the terminal, which does not show what is typed.
pub(crate) fn secret(question: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::new("standard input is no terminal; give the password there with --stdin"));
    }
    let failed = |error: nix::Error| Failure::new(format!("the terminal: {error}"));
    let before = tcgetattr(&stdin).map_err(failed)?;
    let mut silent = before.clone();
    // Nor does a Ctrl-C end us while the terminal is silent: it would stay so.
    silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
    let mut err = std::io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &silent).map_err(failed)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &before).map_err(failed)?;
    writeln!(err)?;
    read?;
    let line = line.trim_end_matches(['\r', '\n']);
    match line.is_empty() || line.chars().any(char::is_control) {
        true => Err(Failure::new("nothing was changed")),
        false => Ok(line.to_owned()),
    }
}
