//! `roridula console`

use super::{Failure, SettingsArgs, out};
use crate::console;
use crate::sandbox;
use crate::terminal;
use clap::{Args, Subcommand};
use roridula_desk::console::{ConsoleError, Listen, guard};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Bytes that are read of a password.
const READ_BYTES_MAX: u64 = guard::PASSWORD_BYTES_MAX as u64 + 2;

/// The console without the honeypot, and who may open it
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  roridula console --data DIR                        look at any data directory, also a copied one
  roridula console --listen 192.0.2.7:8445           from other machines; needs a password first
  roridula console password                          asks for a new one, twice
  roridula console token grafana                     for a program: Authorization: Bearer TOKEN
  roridula console token grafana --remove

`roridula run` serves it as well: --console ADDR:PORT, or --console off. See docs/console.md."
)]
pub(crate) struct ConsoleArgs {
    #[command(subcommand)]
    command: Option<ConsoleCommand>,
    /// Listen here instead of on the configured address
    #[arg(long, alias = "console", value_name = "ADDR:PORT")]
    listen: Option<Listen>,
    /// A configuration file (see `roridula config`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, over the file: `--set console.idle_secs=60`; repeat for more
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Started by `run`, with the settings on standard input
    #[arg(long, hide = true)]
    child: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConsoleCommand {
    /// Set the password that people log in with; running consoles take it at once, and end all sessions
    Password {
        /// Read it from standard input instead of the terminal
        #[arg(long)]
        stdin: bool,
        /// Take it away instead
        #[arg(long, conflicts_with = "stdin")]
        remove: bool,
    },
    /// Make a token for a program, and show it this once
    Token {
        /// What it is for
        name: String,
        /// Take it away instead
        #[arg(long)]
        remove: bool,
    },
    /// Who may open it: whether there is a password, and the tokens' names
    Access,
}

/// As a process of its own that `run` has started.
pub(crate) fn is_child(args: &ConsoleArgs) -> bool {
    args.child
}

/// What such a process does.
pub(crate) fn child(data: &Path) -> ExitCode {
    console::child(data)
}

/// Carries it out.
pub(crate) fn run(args: &ConsoleArgs, data: &Path) -> Result<(), Failure> {
    match &args.command {
        None => serve(args, data),
        Some(ConsoleCommand::Password { remove: true, .. }) => told(
            guard::remove_password(data).map_err(told_by)?,
            "the password is gone",
            "there was no password",
        ),
        Some(ConsoleCommand::Password { stdin, .. }) => password(*stdin, data),
        Some(ConsoleCommand::Token { name, remove: true }) => told(
            guard::remove_token(data, name).map_err(told_by)?,
            "the token is gone",
            "there is no token of that name; `roridula console access` lists them",
        ),
        Some(ConsoleCommand::Token { name, .. }) => token(name, data),
        Some(ConsoleCommand::Access) => access(data),
    }
}

fn told_by(error: ConsoleError) -> Failure {
    Failure::new(error.to_string())
}

fn told(done: bool, yes: &str, no: &str) -> Result<(), Failure> {
    if !done {
        return Err(Failure::new(no));
    }
    Ok(writeln!(out::stdout(), "{yes}")?)
}

fn serve(args: &ConsoleArgs, data: &Path) -> Result<(), Failure> {
    let sources = SettingsArgs { listen: Vec::new(), config: args.config.clone(), set: args.set.clone() };
    let mut settings = sources.load()?.console;
    if let Some(listen) = args.listen {
        settings.listen = listen;
    }
    if settings.listen == Listen::Off {
        return Err(Failure::new("console.listen is `off`; --listen ADDR:PORT says where"));
    }
    // What is missing is better told by who can see it.
    super::reader(data)?;
    sandbox::become_owner(data)?;
    let data = std::path::absolute(data)?;
    console::alone(&settings, &data, |serving| {
        let mut out = out::stdout();
        writeln!(out, "Roridula's console: {serving}")?;
        writeln!(out, "Ctrl-C stops it.")?;
        out.flush()
    })
    .map_err(Failure::new)
}

fn password(stdin: bool, data: &Path) -> Result<(), Failure> {
    let password = if stdin {
        let mut text = String::new();
        std::io::stdin().lock().take(READ_BYTES_MAX).read_to_string(&mut text)?;
        text.lines().next().unwrap_or_default().to_owned()
    } else {
        let first = terminal::secret("New password for the console: ")?;
        if first != terminal::secret("Once more: ")? {
            return Err(Failure::new("the two are not the same; nothing was changed"));
        }
        first
    };
    sandbox::make_data(data)?;
    guard::set_password(data, &password).map_err(told_by)?;
    Ok(writeln!(out::stdout(), "set; a running console takes it at once, and everybody must log in anew")?)
}

fn token(name: &str, data: &Path) -> Result<(), Failure> {
    sandbox::make_data(data)?;
    let token = guard::add_token(data, name).map_err(told_by)?;
    let mut err = std::io::stderr();
    writeln!(
        err,
        "This is the only time that it is shown. A program sends it as: Authorization: Bearer TOKEN"
    )?;
    Ok(writeln!(out::stdout(), "{token}")?)
}

fn access(data: &Path) -> Result<(), Failure> {
    let (password, tokens) = guard::who(data).map_err(told_by)?;
    let mut out = out::stdout();
    writeln!(out, "password   {}", if password { "set" } else { "none" })?;
    match tokens.as_slice() {
        [] => writeln!(out, "tokens     none")?,
        tokens => writeln!(out, "tokens     {}", tokens.join(", "))?,
    }
    if !password && tokens.is_empty() {
        writeln!(out, "Everybody on this machine may open the console, and nobody else.")?;
    }
    Ok(out.flush()?)
}
