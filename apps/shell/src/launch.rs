//! Starts programs, pipelines and background lists.
//!
//! There is no way to copy a process. A stage of a pipeline that is a program is started as such; any other
//! stage becomes a shell of its own that is handed this shell's state and the stage's text (see
//! [`crate::subshell`]). Two cases need no process: a first stage that only prints, whose output is taken
//! into memory, and a last stage, which runs here in a copy of the state.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::ast::*;
use crate::builtins;
use crate::jobs::Stage;
use crate::print;
use crate::shell::{Flow, Outcome, Shell};
use crate::stream::{Stream, Streams};
use crate::sys::{self, PipeReader, PipeWriter, Read, Spawn, Stdio, Write, io};

/// Where a command substitution's output grows.
type Memory = Rc<RefCell<Vec<u8>>>;

/// Pipes through which programs write into this shell's memory.
#[derive(Default)]
struct Captures {
    list: Vec<(Memory, PipeReader, PipeWriter)>,
}

impl Captures {
    fn stdio(&mut self, stream: Option<&Stream>) -> io::Result<Stdio> {
        let Some(stream) = stream else { return Ok(Stdio::null()) };
        let Stream::Capture(memory) = stream else { return stream.stdio() };
        if let Some((_, _, writer)) = self.list.iter().find(|(known, ..)| Rc::ptr_eq(known, memory)) {
            return Ok(writer.try_clone()?.into());
        }
        let (reader, writer) = sys::pipe()?;
        let stdio = writer.try_clone()?.into();
        self.list.push((Rc::clone(memory), reader, writer));
        Ok(stdio)
    }

    /// Reads what the programs write until the last of them has closed its end.
    fn collect(self) -> io::Result<()> {
        for (memory, mut reader, writer) in self.list {
            drop(writer);
            let mut block = [0; 4096];
            loop {
                let count = reader.read(&mut block)?;
                if count == 0 {
                    break;
                }
                memory.borrow_mut().extend_from_slice(&block[..count]);
                sys::beat();
            }
        }
        Ok(())
    }
}

impl Shell {
    /// Runs a program and waits for it.
    pub fn run_program(&mut self, simple: &Simple, fields: &[String]) -> Outcome {
        let mut captures = Captures::default();
        let stage = self.start_program(simple, fields, &mut captures)?;
        self.collect(captures)?;
        let result = self.wait_for(Vec::from([stage]));
        if self.interrupts.is_some() && fields[0].rsplit('/').next() == Some("sh") {
            // Another shell at the console took Ctrl-C over.
            self.interrupts = Some(sys::Interrupts::new());
        }
        result
    }

    fn collect(&mut self, captures: Captures) -> Outcome<()> {
        if let Err(error) = captures.collect() {
            self.complain(&format!("cannot read a command's output: {}", sys::describe(&error)));
        }
        Ok(())
    }

    /// Starts a program with the redirections and assignments of its command.
    fn start_program(&mut self, simple: &Simple, fields: &[String], captures: &mut Captures) -> Outcome<Stage> {
        let saved = self.state.streams.clone();
        let result = self.start_redirected(simple, fields, captures);
        self.state.streams = saved;
        result
    }

    fn start_redirected(&mut self, simple: &Simple, fields: &[String], captures: &mut Captures) -> Outcome<Stage> {
        if !self.redirect(&simple.redirects)? {
            return Ok(Stage::Done(1));
        }
        let mut environment = self.environment();
        let mut path = None;
        for assignment in &simple.assignments {
            let value = self.expand_assignment(&assignment.value)?;
            if assignment.name == "PATH" {
                path = Some(value.clone());
            }
            environment.retain(|(name, _)| *name != assignment.name);
            environment.push((assignment.name.clone(), value));
        }
        self.trace(&[], fields);
        let program = match self.find_program(&fields[0], path.as_deref()) {
            Ok(program) => program,
            Err(status) => return Ok(Stage::Done(status)),
        };
        let streams = self.state.streams.clone();
        Ok(self.start(&program, fields, &environment, &streams, captures))
    }

    /// Starts the file `program`; a script is handed to its interpreter.
    fn start(
        &mut self,
        program: &str,
        fields: &[String],
        environment: &[(String, String)],
        streams: &Streams,
        captures: &mut Captures,
    ) -> Stage {
        let mut attempt = |program: &str, args: &[String]| {
            sys::spawn(Spawn {
                program,
                args,
                env: environment,
                stdin: captures.stdio(streams.get(0))?,
                stdout: captures.stdio(streams.get(1))?,
                stderr: captures.stdio(streams.get(2))?,
            })
        };
        let result = match attempt(program, &fields[1..]) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => match self.interpreter(program) {
                Some(mut words) => {
                    let interpreter = words.remove(0);
                    words.push(program.into());
                    words.extend_from_slice(&fields[1..]);
                    attempt(&interpreter, &words)
                }
                None => Err(error),
            },
            result => result,
        };
        match result {
            Ok(child) => Stage::Running(child, fields[0].clone()),
            Err(error) => {
                self.found.remove(&fields[0]);
                self.complain(&format!("{}: cannot run: {}", fields[0], sys::describe(&error)));
                Stage::Done(126)
            }
        }
    }

    /// What runs the script `path`: the words behind `#!`, or this shell for other text.
    fn interpreter(&self, path: &str) -> Option<Vec<String>> {
        let mut head = [0; 256];
        let count = sys::open_read(path).ok()?.read(&mut head).ok()?;
        let head = &head[..count];
        if let Some(line) = head.strip_prefix(b"#!") {
            let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(line.len());
            let line = core::str::from_utf8(&line[..end]).ok()?.trim();
            let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let mut words = Vec::from([program.to_string()]);
            if !argument.trim().is_empty() {
                words.push(argument.trim().into());
            }
            return Some(words);
        }
        let text = !head.is_empty() && !head.contains(&0) && !head.starts_with(b"\x7fELF");
        text.then(|| Vec::from([self.shell_program.clone()]))
    }

    /// The file of a program; the error is the status, and the reason has been said.
    pub fn find_program(&mut self, name: &str, path: Option<&str>) -> Result<String, i32> {
        if name.contains('/') {
            return match sys::stat(name) {
                Ok(stat) if stat.is_dir => {
                    self.complain(&format!("{name}: is a directory"));
                    Err(126)
                }
                Ok(stat) if stat.mode & 0o111 == 0 => {
                    self.complain(&format!("{name}: permission denied: it is not executable"));
                    Err(126)
                }
                Ok(_) => Ok(name.into()),
                Err(error) => {
                    self.complain(&format!("{name}: {}", sys::describe(&error)));
                    Err(127)
                }
            };
        }
        if path.is_none()
            && let Some(known) = self.found.get(name)
        {
            return Ok(known.clone());
        }
        let mut forbidden = None;
        if let Some(file) = self.search_path(name, path, &mut forbidden) {
            if path.is_none() {
                self.found.insert(name.into(), file.clone());
            }
            return Ok(file);
        }
        match forbidden {
            Some(file) => {
                self.complain(&format!("{file}: permission denied: it is not executable"));
                Err(126)
            }
            None => {
                self.complain(&format!("{name}: command not found"));
                Err(127)
            }
        }
    }

    /// Looks `name` up in the directories of `$PATH`.
    pub fn search_path(&self, name: &str, path: Option<&str>, forbidden: &mut Option<String>) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        let path = path.or_else(|| self.variable("PATH")).unwrap_or("/bin");
        for directory in path.split(':') {
            let directory = if directory.is_empty() { "." } else { directory };
            let file = format!("{}/{name}", directory.trim_end_matches('/'));
            match sys::stat(&file) {
                Ok(stat) if stat.is_file && stat.mode & 0o111 != 0 => return Some(file),
                Ok(stat) if stat.is_file => *forbidden = Some(file),
                _ => {}
            }
        }
        None
    }

    /// Runs a pipeline of several stages and waits for it.
    pub fn run_pipeline(&mut self, pipeline: &Pipeline) -> Outcome {
        let mut captures = Captures::default();
        let (last, others) = match pipeline.commands.split_last() {
            Some(split) => split,
            None => return Ok(0),
        };
        let here = self.runs_here(last);
        let (mut stages, input, pending) = self.start_stages(others, &mut captures, !here)?;
        let mut status = None;
        if here {
            status = Some(self.in_subshell(|shell| {
                shell.state.streams.set(0, input);
                shell.run_command(last)
            }));
        } else {
            let stage = self.start_stage(last, Some(input), None, &mut captures)?;
            stages.push(stage);
        }
        if let Some((mut writer, bytes)) = pending {
            // A reader that does not want it all is no error.
            let _ = writer.write_all(&bytes);
        }
        self.collect(captures)?;
        let of_programs = self.wait_for(stages)?;
        status.unwrap_or(Ok(of_programs))
    }

    /// Starts all stages but the last; returns what the last one reads.
    #[allow(clippy::type_complexity)]
    fn start_stages(
        &mut self,
        commands: &[Command],
        captures: &mut Captures,
        all_run_apart: bool,
    ) -> Outcome<(Vec<Stage>, Stream, Option<(PipeWriter, Vec<u8>)>)> {
        let mut stages = Vec::new();
        let mut input = None;
        let mut pending = None;
        for (index, command) in commands.iter().enumerate() {
            if index == 0 && only_prints(self, command) {
                let memory = Rc::default();
                let capture = Stream::Capture(Rc::clone(&memory));
                let status = self.in_subshell(|shell| {
                    shell.state.streams.set(1, capture);
                    shell.run_command(command)
                })?;
                stages.push(Stage::Done(status));
                let bytes: Vec<u8> = memory.take();
                let fed = if bytes.len() > sys::PIPE_CAPACITY && all_run_apart {
                    sys::pipe().map(|(reader, writer)| {
                        pending = Some((writer, bytes));
                        Stream::reader(reader)
                    })
                } else {
                    Stream::feed(&bytes, sys::process_id())
                };
                input = Some(self.piped(fed)?);
                continue;
            }
            let pipe = sys::pipe();
            let (reader, writer) = self.piped(pipe)?;
            let output = Stream::writer(writer);
            stages.push(self.start_stage(command, input.take(), Some(output), captures)?);
            input = Some(Stream::reader(reader));
        }
        Ok((stages, input.unwrap_or(Stream::Null), pending))
    }

    fn piped<T>(&mut self, result: io::Result<T>) -> Outcome<T> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.fail(&format!("cannot make a pipe: {}", sys::describe(&error))),
        }
    }

    /// Whether a pipeline's last stage should run in this process.
    fn runs_here(&self, command: &Command) -> bool {
        match command {
            Command::Simple(simple) => simple.words.first().is_none_or(|word| {
                word.as_literal().is_some_and(|name| {
                    builtins::exists(name) && name != "exec" || self.state.functions.contains_key(name)
                })
            }),
            _ => true,
        }
    }

    /// Starts one stage of a pipeline as a process.
    fn start_stage(
        &mut self,
        command: &Command,
        input: Option<Stream>,
        output: Option<Stream>,
        captures: &mut Captures,
    ) -> Outcome<Stage> {
        let saved = self.state.clone();
        if let Some(input) = input {
            self.state.streams.set(0, input);
        }
        if let Some(output) = output {
            self.state.streams.set(1, output);
        }
        let result = self.start_stage_in_copy(command, captures);
        self.state = saved;
        match result {
            Err(Flow::Failed(status) | Flow::Exit(status)) => Ok(Stage::Done(status)),
            other => other,
        }
    }

    fn start_stage_in_copy(&mut self, command: &Command, captures: &mut Captures) -> Outcome<Stage> {
        let Command::Simple(simple) = command else {
            return Ok(self.start_shell(&print::command(command), captures));
        };
        let is_inner = |shell: &Shell, name: &str| builtins::exists(name) || shell.state.functions.contains_key(name);
        match simple.words.first() {
            None => return Ok(self.start_shell(&print::command(command), captures)),
            Some(word) if word.as_literal().is_some_and(|name| is_inner(self, name)) => {
                return Ok(self.start_shell(&print::command(command), captures));
            }
            _ => {}
        }
        let fields = self.command_fields(simple)?;
        match fields.first() {
            Some(name) if !is_inner(self, name) => self.start_program(simple, &fields, captures),
            _ => {
                let words = fields.iter().map(|field| Word::quoted(field)).collect();
                let expanded = Simple { words, ..simple.clone() };
                Ok(self.start_shell(&print::command(&Command::Simple(expanded)), captures))
            }
        }
    }

    /// Starts another shell with a copy of this one's state.
    fn start_shell(&mut self, text: &str, captures: &mut Captures) -> Stage {
        let mut environment = self.environment();
        environment.push((crate::subshell::VARIABLE.into(), self.packed_state()));
        let program = self.shell_program.clone();
        let fields = [program.clone(), "--subshell".into(), text.into()];
        let streams = self.state.streams.clone();
        match self.start(&program, &fields, &environment, &streams, captures) {
            Stage::Running(child, _) => Stage::Running(child, text.into()),
            done => done,
        }
    }

    /// Starts a background list.
    pub fn start_background(&mut self, chain: &AndOr) -> Outcome {
        let mut captures = Captures::default();
        let text = print::and_or(chain);
        let saved = self.state.streams.clone();
        if matches!(self.state.streams.get(0), Some(Stream::Own(0))) {
            // The console's input belongs to the foreground.
            self.state.streams.set(0, Stream::Null);
        }
        let result = self.background_stages(chain, &text, &mut captures);
        self.state.streams = saved;
        let stages = result?;
        self.collect(captures)?;
        let pid = stages.iter().rev().find_map(|stage| match stage {
            Stage::Running(child, _) => Some(child.id()),
            Stage::Done(_) => None,
        });
        if pid.is_some() {
            self.last_background = pid;
        }
        let number = self.jobs.add(text, stages, pid.unwrap_or(0));
        if self.interactive
            && let Some(pid) = pid
        {
            self.complain_raw(&format!("[{number}] {pid}\n"));
        }
        Ok(0)
    }

    fn background_stages(&mut self, chain: &AndOr, text: &str, captures: &mut Captures) -> Outcome<Vec<Stage>> {
        if !chain.rest.is_empty() || chain.first.negated {
            return Ok(Vec::from([self.start_shell(text, captures)]));
        }
        let Some((last, others)) = chain.first.commands.split_last() else { return Ok(Vec::new()) };
        if others.is_empty() {
            return Ok(Vec::from([self.start_stage(last, None, None, captures)?]));
        }
        // Without a foreground that could write, the first stage's output must fit or lie in a file.
        let (mut stages, input, _) = self.start_stages(others, captures, false)?;
        stages.push(self.start_stage(last, Some(input), None, captures)?);
        Ok(stages)
    }
}

/// Whether a stage is a builtin that reads nothing and prints a bounded text.
fn only_prints(shell: &Shell, command: &Command) -> bool {
    let Command::Simple(simple) = command else { return false };
    simple
        .words
        .first()
        .and_then(Word::as_literal)
        .is_some_and(|name| builtins::only_prints(name) && !shell.state.functions.contains_key(name))
}
