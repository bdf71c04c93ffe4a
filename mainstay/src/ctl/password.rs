//! Passwords that are typed, or come as the first line of the input.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result};
use rustix::termios::{self, LocalModes, OptionalActions};

use super::arguments::NewPassword;

/// The password for a new user, or a new one for an old user.
pub(super) fn new(name: &str, given: &NewPassword) -> Result<String> {
    if let Some(password) = &given.new_user_password {
        return Ok(password.clone());
    }
    if !given.interactive {
        return line();
    }
    let password = ask(&format!("Password of {name}: "))?;
    if password.is_empty() {
        misuse!("empty password");
    }
    let again = ask(&format!("Type password of {name} again for confirmation: "))?;
    if password != again {
        misuse!("provided passwords are not matching")
    }
    Ok(password)
}

/// Asks on the terminal, which does not show what is typed.
pub(super) fn ask(prompt: &str) -> Result<String> {
    out!("{prompt}");
    io::stdout().flush()?;
    let input = io::stdin();
    if !input.is_terminal() {
        return line();
    }
    let shown = termios::tcgetattr(&input).context("cannot read the terminal's settings")?;
    let mut hidden = shown.clone();
    hidden.local_modes -= LocalModes::ECHO;
    termios::tcsetattr(&input, OptionalActions::Flush, &hidden)
        .context("cannot hide what is typed")?;
    let password = line();
    termios::tcsetattr(&input, OptionalActions::Flush, &shown)
        .context("cannot show again what is typed")?;
    outln!();
    password
}

fn line() -> Result<String> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
