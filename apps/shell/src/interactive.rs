//! Reads commands from a person or from standard input, and keeps the history.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::editor::{Completion, Editor, Event, Helper};
use crate::lexer::Parser;
use crate::shell::{Flow, Outcome, Shell};
use crate::stream::Stream;
use crate::sys;

/// The component behind the terminal.
const TERMINAL: &str = "console";
/// How often, for one line, a terminal that gives errors is started anew before it counts as lost.
const MOST_RENEWALS: u32 = 3;
/// How many lines of history are kept.
const HISTORY_LINES: usize = 1000;

/// What reading a line led to.
enum Input {
    Line(String),
    Interrupt,
    End,
    /// The terminal does not answer any more.
    Lost,
}

impl Helper for Shell {
    fn history(&self) -> &[String] {
        &self.history
    }

    fn complete(&mut self, before: &str) -> Completion {
        Shell::complete(self, before)
    }
}

impl Shell {
    /// Runs commands from standard input until it ends or a command ends the shell.
    pub fn run_input(&mut self) -> Outcome {
        let stream = self.state.streams.get(0).cloned().unwrap_or(Stream::Null);
        let editing = self.interactive && stream.is_terminal();
        if editing {
            self.load_history();
        }
        let mut text = String::new();
        let mut line_number = 1;
        loop {
            sys::beat();
            if text.is_empty() {
                self.reap();
            }
            let input = if editing { self.edit_line(!text.is_empty()) } else { self.plain_line(&stream) };
            let mut at_end = false;
            match input {
                Input::Line(line) => {
                    text.push_str(&line);
                    text.push('\n');
                }
                Input::Interrupt => {
                    text.clear();
                    self.status = 130;
                    continue;
                }
                Input::End if text.is_empty() => return Ok(self.status),
                Input::End => at_end = true,
                Input::Lost => {
                    self.lost_terminal = true;
                    return Ok(1);
                }
            }
            let mut parser = Parser::new(&text).starting_at(line_number);
            parser.aliases = self.state.aliases.clone();
            if !at_end {
                parser = parser.more_may_come();
            }
            let mut lists = Vec::new();
            let error = loop {
                match parser.next_line_of_commands() {
                    Ok(Some(list)) => lists.push(list),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            match error {
                Some(error) if error.incomplete && !at_end => continue,
                Some(error) => {
                    self.status = 2;
                    if self.interactive {
                        self.complain(&error.message);
                    } else {
                        return self.fail(&format!("line {}: {}", error.line, error.message));
                    }
                }
                None => {
                    for list in &lists {
                        if let Some(status) = self.run_top(|shell| shell.run_list(list))? {
                            self.status = status;
                        } else {
                            break;
                        }
                    }
                }
            }
            line_number += text.matches('\n').count() as u32;
            text.clear();
        }
    }

    /// Runs something a person asked for: a mistake or Ctrl-C in it, `None`, does not end the shell.
    pub fn run_top(&mut self, run: impl FnOnce(&mut Self) -> Outcome) -> Outcome<Option<i32>> {
        match run(self) {
            Ok(status) => Ok(Some(status)),
            Err(Flow::Failed(status)) if self.interactive => {
                self.status = status;
                Ok(None)
            }
            Err(Flow::Interrupted) if self.interactive => {
                self.status = 130;
                self.complain_raw("\n");
                Ok(None)
            }
            Err(Flow::Break(_) | Flow::Continue(_)) => Ok(Some(0)),
            Err(Flow::Return(status)) => Ok(Some(status)),
            Err(flow) => Err(flow),
        }
    }

    fn plain_line(&mut self, stream: &Stream) -> Input {
        match stream.read_line() {
            Ok(line) if line.is_empty() => Input::End,
            Ok(line) => Input::Line(String::from_utf8_lossy(&line).trim_end_matches('\n').to_string()),
            Err(error) if error.kind() == sys::io::ErrorKind::Interrupted => Input::Interrupt,
            Err(_) => Input::End,
        }
    }

    fn edit_line(&mut self, more: bool) -> Input {
        let prompt = self.prompt(if more { "PS2" } else { "PS1" });
        let (columns, _) = sys::terminal_size();
        sys::set_raw(true);
        let input = self.edit(&prompt, columns);
        sys::set_raw(false);
        if let Some(interrupts) = &mut self.interrupts {
            // A Ctrl-C typed while editing was for the line.
            interrupts.poll();
        }
        if let Input::Line(line) = &input {
            self.remember(line);
        }
        input
    }

    fn edit(&mut self, prompt: &str, columns: usize) -> Input {
        let mut out = Vec::new();
        let mut editor = Editor::new(prompt, columns, self, &mut out);
        let mut renewals = 0;
        loop {
            if !out.is_empty() {
                // A terminal that is gone shows in reading from it.
                let _ = sys::write_out(1, &out);
                out.clear();
            }
            let mut byte = [0];
            let read = sys::read_stdin(&mut byte);
            let event = match read {
                Ok(1..) => editor.feed(byte[0], self, &mut out),
                Err(error) if error.kind() == sys::io::ErrorKind::Interrupted => Event::Interrupt,
                // Whoever ends the input at a terminal types Ctrl-D, which is a byte as long as a line is edited. What runs would end with this shell.
                Ok(0) | Err(_) if renewals < MOST_RENEWALS && sys::kill_component(TERMINAL).is_ok() => {
                    renewals += 1;
                    sys::log("the terminal gives errors: it is started anew");
                    sys::set_raw(true);
                    continue;
                }
                Ok(0) | Err(_) => return Input::Lost,
            };
            let input = match event {
                Event::Editing => continue,
                Event::Line(line) => Input::Line(line),
                Event::Interrupt => Input::Interrupt,
                Event::End => Input::End,
            };
            let _ = sys::write_out(1, &out);
            return input;
        }
    }

    /// A prompt with its escapes replaced.
    pub fn prompt(&self, name: &str) -> String {
        let mut out = String::new();
        let mut chars = self.variable(name).unwrap_or("$ ").chars();
        while let Some(c) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('w') => {
                    let directory = self.state.directory.as_str();
                    let home = self.variable("HOME").unwrap_or("");
                    match directory.strip_prefix(home).filter(|_| home.len() > 1) {
                        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                            out.push('~');
                            out.push_str(rest);
                        }
                        _ => out.push_str(directory),
                    }
                }
                Some('W') => out.push_str(self.state.directory.rsplit('/').next().unwrap_or("")),
                Some('$') => out.push(if self.variable("USER").unwrap_or("root") == "root" { '#' } else { '$' }),
                Some('u') => out.push_str(self.variable("USER").unwrap_or("root")),
                Some('h') => out.push_str(self.variable("HOSTNAME").unwrap_or("motte")),
                Some('s') => out.push_str("sh"),
                Some('?') => out.push_str(&self.status.to_string()),
                Some('n') => out.push('\n'),
                Some('e') => out.push('\x1b'),
                Some('[' | ']') => {}
                Some(other) => out.push(other),
                None => out.push('\\'),
            }
        }
        out
    }

    fn history_file(&self) -> String {
        match self.variable("HISTFILE") {
            Some(path) => path.into(),
            None => format!("{}/.history", self.variable("HOME").unwrap_or("/root")),
        }
    }

    /// Reads the history of earlier shells.
    pub fn load_history(&mut self) {
        let path = self.history_file();
        // Without a file there is no history yet.
        let Ok(bytes) = sys::read_file(&path) else { return };
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<String> = text.lines().map(String::from).collect();
        let kept = &lines[lines.len().saturating_sub(HISTORY_LINES)..];
        if lines.len() > 2 * HISTORY_LINES {
            // The file is only shortened; on an error it stays as long as it is.
            let _ = sys::open_write(&path, false)
                .and_then(|file| Stream::File(file.into()).write((kept.join("\n") + "\n").as_bytes()));
        }
        self.history = kept.to_vec();
    }

    /// Adds a line to the history, here and on disk.
    pub fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || line.starts_with(' ') || self.history.last().is_some_and(|l| l == line) {
            return;
        }
        self.history.push(line.into());
        let path = self.history_file();
        // History is a comfort: on a disk that cannot be written the shell works all the same.
        let _ = sys::open_write(&path, true)
            .and_then(|file| Stream::File(file.into()).write(format!("{line}\n").as_bytes()));
    }
}
