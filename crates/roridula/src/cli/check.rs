//! `roridula check`

use super::{Failure, SettingsArgs, out};
use crate::console::bind_help;
use crate::sandbox;
use crate::settings::Settings;
use roridula_desk::console::ConsoleSettings;
use roridula_desk::console::guard::Guard;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

/// Loads the settings and says what `run` would do with them.
pub(crate) fn check(args: &SettingsArgs, data: &Path) -> Result<(), Failure> {
    let settings = args.load()?;
    let mut wrong = Vec::new();
    let mut out = out::stdout();
    writeln!(out, "settings   in order")?;
    plan(&mut out, &settings)?;
    for &address in &settings.listen {
        // Bound and let go at once: nobody is answered.
        match roridula_sensor::bind(address) {
            Ok(_) => writeln!(out, "listen     {address}")?,
            Err(error) => {
                writeln!(out, "listen     {address}: not possible")?;
                wrong.push(super::run::bind_help(&error));
            }
        }
    }
    if let Err(error) = console(&mut out, &settings.console, data)? {
        wrong.push(error);
    }
    if let Err(error) = super::lookup::keys(&settings.lookup) {
        wrong.push(error);
    }
    match sandbox::plan(data, settings.run_as.as_deref()) {
        Ok(plan) => writeln!(out, "user       {plan}")?,
        Err(Failure(what)) => wrong.push(what),
    }
    if let Some(above) =
        settings.json_log.path.as_deref().and_then(Path::parent).filter(|above| !above.is_dir())
        && !above.as_os_str().is_empty()
    {
        wrong.push(format!(
            "json_log.path: there is no directory {}; make it, writable for that user",
            above.display()
        ));
    }
    writeln!(out, "data       {}{}", data.display(), if data.exists() { "" } else { " (will be made)" })?;
    out.flush()?;
    if wrong.is_empty() { Ok(()) } else { Err(Failure(wrong.join("\n"))) }
}

/// Where the console would be. A port that is taken is no fault: the console is tried again, the rest does
/// not wait.
fn console(
    out: &mut impl Write,
    settings: &ConsoleSettings,
    data: &Path,
) -> std::io::Result<Result<(), String>> {
    let Some(address) = settings.listen.address() else {
        return writeln!(out, "console    off").map(Ok);
    };
    if let Err(error) = Guard::open(settings, data) {
        writeln!(out, "console    {address}: not possible")?;
        return Ok(Err(error.to_string()));
    }
    match TcpListener::bind(address) {
        Ok(_) => writeln!(out, "console    {address}")?,
        Err(error) => writeln!(out, "console    not now: {}", bind_help(address, &error))?,
    }
    Ok(Ok(()))
}

fn plan(out: &mut impl Write, settings: &Settings) -> std::io::Result<()> {
    let implant = &settings.implant;
    writeln!(out, "sensor     {}", settings.sensor)?;
    writeln!(out, "persona    {}, MS17-010 {}", settings.persona, word(&settings.ms17_010))?;
    let seed =
        implant.key_seed.map_or("own, new after each upload".to_owned(), |seed| format!("{seed:#010x}"));
    writeln!(out, "implant    {}, {}, key seed {seed}", word(&implant.policy), word(&implant.arch))?;
    match &settings.json_log.path {
        Some(path) => writeln!(out, "json log   {}", path.display()),
        None => writeln!(out, "json log   none"),
    }
}

/// A setting's word as it is written in the file.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}
