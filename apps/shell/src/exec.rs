//! Runs the syntax tree.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ast::*;
use crate::builtins;
use crate::lexer::Parser;
use crate::print;
use crate::shell::{Flow, Outcome, Shell, Variable};
use crate::stream::Stream;
use crate::sys;

impl Shell {
    /// Runs all commands in `text`, line by line, so that an error behind them does not keep the first
    /// from running.
    pub fn run_text(&mut self, text: &str) -> Outcome {
        let mut parser = Parser::new(text);
        let mut status = 0;
        loop {
            if parser.aliases != self.state.aliases {
                parser.aliases = self.state.aliases.clone();
            }
            match parser.next_line_of_commands() {
                Ok(None) => return Ok(status),
                Ok(Some(_)) if self.state.options.no_execute => {}
                Ok(Some(list)) => status = self.run_list(&list)?,
                Err(error) => {
                    self.status = 2;
                    return self.fail(&format!("line {}: {}", error.line, error.message));
                }
            }
        }
    }

    /// Runs a list; the status is that of its last command.
    pub fn run_list(&mut self, list: &List) -> Outcome {
        let mut status = 0;
        for item in &list.items {
            status = if item.background { self.start_background(&item.and_or)? } else { self.and_or(&item.and_or)? };
            self.status = status;
        }
        Ok(status)
    }

    /// Runs a list whose failure is a question and no error.
    fn condition(&mut self, list: &List) -> Outcome {
        self.state.tested += 1;
        let result = self.run_list(list);
        self.state.tested -= 1;
        result
    }

    fn and_or(&mut self, chain: &AndOr) -> Outcome {
        let last = chain.rest.len();
        let mut status = self.tested_pipeline(&chain.first, last > 0)?;
        self.status = status;
        for (index, (connector, pipeline)) in chain.rest.iter().enumerate() {
            if (status == 0) == (*connector == Connector::And) {
                status = self.tested_pipeline(pipeline, index + 1 < last)?;
                self.status = status;
            }
        }
        Ok(status)
    }

    fn tested_pipeline(&mut self, pipeline: &Pipeline, tested: bool) -> Outcome {
        let tested = tested || pipeline.negated;
        self.state.tested += u32::from(tested);
        let result = match pipeline.commands.as_slice() {
            [command] => self.run_command(command),
            _ => self.run_pipeline(pipeline),
        };
        self.state.tested -= u32::from(tested);
        let status = result?;
        if pipeline.negated {
            return Ok(i32::from(status == 0));
        }
        if tested {
            return Ok(status);
        }
        let counts = match pipeline.commands.as_slice() {
            [Command::Compound(compound, _)] => matches!(compound, Compound::Subshell(_)),
            _ => true,
        };
        if status != 0 && counts && self.state.options.exit_on_error && self.state.tested == 0 {
            return Err(Flow::Exit(status));
        }
        Ok(status)
    }

    /// Runs one command in this shell.
    pub fn run_command(&mut self, command: &Command) -> Outcome {
        sys::beat();
        if self.stack.is_exhausted() {
            return self.fail("commands and functions are nested too deeply");
        }
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Function { name, body } => {
                self.state.functions.insert(name.clone(), Rc::clone(body));
                Ok(0)
            }
            Command::Compound(compound, redirects) if redirects.is_empty() => self.compound(compound),
            Command::Compound(compound, redirects) => {
                let saved = self.state.streams.clone();
                let result = match self.redirect(redirects) {
                    Ok(true) => self.compound(compound),
                    Ok(false) => Ok(1),
                    Err(flow) => Err(flow),
                };
                self.state.streams = saved;
                result
            }
        }
    }

    fn compound(&mut self, compound: &Compound) -> Outcome {
        match compound {
            Compound::Brace(body) => self.run_list(body),
            Compound::Subshell(body) => self.in_subshell(|shell| shell.run_list(body)),
            Compound::If { branches, otherwise } => {
                for (condition, body) in branches {
                    if self.condition(condition)? == 0 {
                        return self.run_list(body);
                    }
                }
                match otherwise {
                    Some(body) => self.run_list(body),
                    None => Ok(0),
                }
            }
            Compound::Loop { until, condition, body } => self.looping(|shell, status| {
                if (shell.condition(condition)? == 0) == *until {
                    return Ok(false);
                }
                *status = shell.run_list(body)?;
                Ok(true)
            }),
            Compound::For { name, words, body } => {
                let values = match words {
                    Some(words) => self.expand_words(words)?,
                    None => self.state.positional.clone(),
                };
                let mut values = values.into_iter();
                self.looping(|shell, status| {
                    let Some(value) = values.next() else { return Ok(false) };
                    shell.set_variable(name, &value)?;
                    *status = shell.run_list(body)?;
                    Ok(true)
                })
            }
            Compound::Case { word, arms } => {
                let subject: Vec<char> = self.expand_single(word)?.chars().collect();
                for (patterns, body) in arms {
                    for pattern in patterns {
                        if self.expand_pattern(pattern)?.matches(&subject) {
                            return self.run_list(body);
                        }
                    }
                }
                Ok(0)
            }
        }
    }

    /// Repeats `round` until it says false, minding `break` and `continue`.
    fn looping(&mut self, mut round: impl FnMut(&mut Self, &mut i32) -> Outcome<bool>) -> Outcome {
        let mut status = 0;
        self.state.loops += 1;
        let result = loop {
            if let Err(flow) = self.check_interrupt() {
                break Err(flow);
            }
            match round(self, &mut status) {
                Ok(true) | Err(Flow::Continue(1)) => {}
                Ok(false) => break Ok(status),
                Err(Flow::Break(1)) => break Ok(0),
                Err(Flow::Break(levels)) => break Err(Flow::Break(levels - 1)),
                Err(Flow::Continue(levels)) => break Err(Flow::Continue(levels - 1)),
                Err(flow) => break Err(flow),
            }
        };
        self.state.loops -= 1;
        result
    }

    /// Runs something in a copy of the shell, in this process: whatever it changes is undone.
    pub fn in_subshell(&mut self, run: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let saved = self.state.clone();
        let was = (self.is_subshell, self.last_background);
        self.is_subshell = true;
        self.state.traps.clear();
        self.state.loops = 0;
        let result = run(self);
        let result = self.finish_subshell(result);
        if self.state.directory != saved.directory {
            // The directory may have been removed meanwhile; the shell then goes on where it is.
            let _ = sys::set_current_dir(&saved.directory);
        }
        self.state = saved;
        (self.is_subshell, self.last_background) = was;
        result
    }

    fn finish_subshell(&mut self, result: Outcome) -> Outcome {
        let status = match result {
            Ok(status) | Err(Flow::Exit(status) | Flow::Failed(status) | Flow::Return(status)) => status,
            Err(Flow::Break(_) | Flow::Continue(_)) => 0,
            Err(Flow::Interrupted) => return Err(Flow::Interrupted),
        };
        self.status = status;
        if self.state.traps.contains_key("EXIT") { Ok(self.run_exit_trap(status)) } else { Ok(status) }
    }

    /// Runs the trap for the shell's end, which may choose another status.
    pub fn run_exit_trap(&mut self, status: i32) -> i32 {
        let Some(action) = self.state.traps.remove("EXIT") else { return status };
        self.status = status;
        match self.run_text(&action) {
            Err(Flow::Exit(status) | Flow::Failed(status)) => status,
            _ => status,
        }
    }

    /// What a command substitution prints, its last newlines removed.
    pub fn substitute(&mut self, body: &List) -> Outcome<String> {
        let memory = Rc::default();
        let stream = Stream::Capture(Rc::clone(&memory));
        let before = self.status;
        let status = self.in_subshell(|shell| {
            shell.state.streams.set(1, stream);
            shell.run_list(body)
        })?;
        self.status = before;
        self.substitution_status = Some(status);
        let bytes = memory.take();
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        text.truncate(text.trim_end_matches('\n').len());
        text.retain(|c| c != '\0');
        Ok(text)
    }

    fn simple(&mut self, simple: &Simple) -> Outcome {
        self.check_interrupt()?;
        self.substitution_status = None;
        let fields = self.command_fields(simple)?;
        let Some(name) = fields.first() else { return self.only_assignments(simple) };
        if name == "exec" && fields.len() == 1 {
            // Redirections without a command stay.
            return match self.redirect(&simple.redirects)? {
                true => Ok(0),
                false => Err(Flow::Failed(1)),
            };
        }
        if builtins::is_special(name) {
            self.assign(&simple.assignments, false)?;
            self.trace(&simple.assignments, &fields);
            return self.with_redirects(&simple.redirects, |shell| builtins::run(shell, &fields));
        }
        let function = self.state.functions.get(name).cloned();
        if function.is_none() && !builtins::exists(name) {
            return self.run_program(simple, &fields);
        }
        let mut hidden = Vec::new();
        for assignment in &simple.assignments {
            hidden.push((assignment.name.clone(), self.state.variables.get(&assignment.name).cloned()));
        }
        let result = match self.assign(&simple.assignments, true) {
            Ok(()) => {
                self.trace(&simple.assignments, &fields);
                self.with_redirects(&simple.redirects, |shell| match function {
                    Some(body) => shell.call(&body, &fields[1..]),
                    None => builtins::run(shell, &fields),
                })
            }
            Err(flow) => Err(flow),
        };
        for (name, before) in hidden.into_iter().rev() {
            self.restore_variable(name, before);
        }
        result
    }

    /// The fields of a command; `export a=$b` and its kin take an assignment as one field.
    pub fn command_fields(&mut self, simple: &Simple) -> Outcome<Vec<String>> {
        let declares = simple
            .words
            .first()
            .and_then(Word::as_literal)
            .is_some_and(|name| matches!(name, "export" | "readonly" | "local" | "alias"));
        if !declares {
            return self.expand_words(&simple.words);
        }
        let mut fields = Vec::new();
        for word in &simple.words {
            match crate::parser::assignment(word) {
                Some(assignment) => {
                    let value = self.expand_assignment(&assignment.value)?;
                    fields.push(format!("{}={value}", assignment.name));
                }
                None => fields.append(&mut self.expand_words(core::slice::from_ref(word))?),
            }
        }
        Ok(fields)
    }

    fn only_assignments(&mut self, simple: &Simple) -> Outcome {
        let saved = self.state.streams.clone();
        let redirected = self.redirect(&simple.redirects);
        self.state.streams = saved;
        if !redirected? {
            return Ok(1);
        }
        self.assign(&simple.assignments, false)?;
        if !simple.assignments.is_empty() {
            self.trace(&simple.assignments, &[]);
        }
        Ok(self.substitution_status.take().unwrap_or(0))
    }

    fn assign(&mut self, assignments: &[Assignment], export: bool) -> Outcome<()> {
        for assignment in assignments {
            let value = self.expand_assignment(&assignment.value)?;
            self.set_variable(&assignment.name, &value)?;
            if export && let Some(variable) = self.state.variables.get_mut(&assignment.name) {
                variable.exported = true;
            }
        }
        Ok(())
    }

    /// Puts a variable back as it was.
    pub fn restore_variable(&mut self, name: String, before: Option<Variable>) {
        if name == "PATH" {
            self.found.clear();
        }
        match before {
            Some(variable) => self.state.variables.insert(name, variable),
            None => self.state.variables.remove(&name),
        };
    }

    /// Shows a command that is about to run, with `set -x`.
    pub fn trace(&self, assignments: &[Assignment], fields: &[String]) {
        if !self.state.options.trace {
            return;
        }
        let mut line = self.variable("PS4").unwrap_or("+ ").to_string();
        let values = assignments.iter().map(|assignment| {
            let value = self.variable(&assignment.name).unwrap_or_default();
            format!("{}={}", assignment.name, print::quote(value))
        });
        let words: Vec<String> = values.chain(fields.iter().map(|field| print::quote(field))).collect();
        line.push_str(&words.join(" "));
        line.push('\n');
        self.complain_raw(&line);
    }

    fn with_redirects(&mut self, redirects: &[Redirect], run: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        if redirects.is_empty() {
            return run(self);
        }
        let saved = self.state.streams.clone();
        let result = match self.redirect(redirects) {
            Ok(true) => run(self),
            Ok(false) => Ok(1),
            Err(flow) => Err(flow),
        };
        self.state.streams = saved;
        result
    }

    /// Calls a function.
    fn call(&mut self, body: &Command, arguments: &[String]) -> Outcome {
        let positional = core::mem::replace(&mut self.state.positional, arguments.to_vec());
        let loops = core::mem::replace(&mut self.state.loops, 0);
        self.state.locals.push(Default::default());
        self.state.calls += 1;
        let result = self.run_command(body);
        self.state.calls -= 1;
        for (name, before) in self.state.locals.pop().unwrap_or_default() {
            self.restore_variable(name, before);
        }
        self.state.loops = loops;
        self.state.positional = positional;
        match result {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    /// Changes the descriptors; false when a file could not be opened, which has been said.
    pub fn redirect(&mut self, redirects: &[Redirect]) -> Outcome<bool> {
        for redirect in redirects {
            let target = match redirect.kind {
                RedirectKind::Here if redirect.target.parts.is_empty() => String::new(),
                RedirectKind::Here => self.expand_single(&redirect.target)? + "\n",
                _ => self.expand_single(&redirect.target)?,
            };
            let opened = match redirect.kind {
                RedirectKind::Read => sys::open_read(&target).map(file),
                RedirectKind::Write => sys::open_write(&target, false).map(file),
                RedirectKind::Append => sys::open_write(&target, true).map(file),
                RedirectKind::ReadWrite => sys::open_read_write(&target).map(file),
                RedirectKind::Here => Stream::feed(target.as_bytes(), sys::process_id()),
                RedirectKind::Duplicate if target == "-" => {
                    self.state.streams.close(redirect.fd);
                    continue;
                }
                RedirectKind::Duplicate => {
                    let Some(stream) = target.parse().ok().and_then(|fd| self.state.streams.get(fd)) else {
                        self.complain(&format!("{target}: not an open file descriptor"));
                        return Ok(false);
                    };
                    Ok(stream.clone())
                }
            };
            match opened {
                Ok(stream) => self.state.streams.set(redirect.fd, stream),
                Err(error) => {
                    let what = match redirect.kind {
                        RedirectKind::Here => "cannot hold a here-document".to_string(),
                        RedirectKind::Read => format!("cannot open {target}"),
                        _ => format!("cannot write {target}"),
                    };
                    self.complain(&format!("{what}: {}", sys::describe(&error)));
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn file(file: sys::File) -> Stream {
    Stream::File(Rc::new(file))
}
