//! Jobs: the processes of one pipeline, in the foreground or background.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::shell::{Outcome, Shell};
use crate::sys::{self, Child, Ended};

/// One stage of a pipeline.
pub enum Stage {
    /// A process, with the name to call it by.
    Running(Child, String),
    /// Over, with this status.
    Done(i32),
}

/// A background job.
pub struct Job {
    /// What `%1` names.
    pub number: u32,
    /// The last stage's process.
    pub pid: u32,
    /// The commands.
    pub text: String,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// All background jobs that were not yet reported.
#[derive(Default)]
pub struct Jobs {
    /// The jobs, oldest first.
    pub list: Vec<Job>,
}

impl Job {
    /// Looks after the processes; the status once all ended.
    pub fn poll(&mut self) -> Option<i32> {
        let mut status = Some(0);
        for stage in &mut self.stages {
            if let Stage::Running(child, _) = stage {
                match sys::try_wait(child) {
                    Ok(None) => {}
                    Ok(Some(ended)) => *stage = Stage::Done(status_of(&ended)),
                    Err(_) => *stage = Stage::Done(127),
                }
            }
            status = match stage {
                Stage::Done(code) => status.map(|_| *code),
                Stage::Running(..) => None,
            };
        }
        status
    }
}

impl Jobs {
    /// Adds a job and returns its number.
    pub fn add(&mut self, text: String, stages: Vec<Stage>, pid: u32) -> u32 {
        let number = self.list.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        self.list.push(Job { number, pid, text, stages });
        number
    }

    /// The job that `%N`, `%%`, `%+` or a process number names.
    pub fn find(&self, name: &str) -> Option<usize> {
        match name.strip_prefix('%') {
            Some("" | "%" | "+") => self.list.len().checked_sub(1),
            Some("-") => self.list.len().checked_sub(2),
            Some(text) => match text.parse::<u32>() {
                Ok(number) => self.list.iter().position(|job| job.number == number),
                Err(_) => self.list.iter().position(|job| job.text.starts_with(text)),
            },
            None => {
                let pid: u32 = name.parse().ok()?;
                self.list.iter().position(|job| job.pid == pid)
            }
        }
    }
}

/// The status of a program as the shell shows it.
pub fn status_of(ended: &Ended) -> i32 {
    match ended {
        Ended::Code(code) => code & 0xff,
        Ended::Crashed(signal, _) | Ended::Killed(signal) => 128 + signal,
    }
}

/// What is said about a program that did not end by itself.
fn epitaph(ended: &Ended) -> Option<String> {
    match ended {
        Ended::Code(_) | Ended::Killed(2 | 13) => None,
        Ended::Crashed(_, what) => Some(format!("crashed: {what}")),
        Ended::Killed(15) => Some("terminated".into()),
        Ended::Killed(_) => Some("killed".into()),
    }
}

impl Shell {
    /// Waits for all stages; the status is the last one's. Ctrl-C ends them.
    pub fn wait_for(&mut self, stages: Vec<Stage>) -> Outcome {
        let mut status = 0;
        let mut interrupted = false;
        for stage in stages {
            status = match stage {
                Stage::Done(status) => status,
                Stage::Running(mut child, name) => {
                    if interrupted {
                        sys::kill_tree(child.id());
                    }
                    match self.wait_child(&mut child) {
                        Ok(Some(ended)) => {
                            if let Some(text) = epitaph(&ended)
                                && !interrupted
                            {
                                self.complain(&format!("{name}: {text}"));
                            }
                            status_of(&ended)
                        }
                        Ok(None) => {
                            interrupted = true;
                            sys::kill_tree(child.id());
                            // It was told to end; how it did is of no interest.
                            let _ = sys::wait(&mut child);
                            130
                        }
                        Err(error) => {
                            self.complain(&format!("{name}: cannot wait for it: {}", sys::describe(&error)));
                            127
                        }
                    }
                }
            };
        }
        if interrupted {
            self.status = 130;
            self.interrupted()?;
            return Ok(130);
        }
        Ok(status)
    }

    fn wait_child(&mut self, child: &mut Child) -> sys::io::Result<Option<Ended>> {
        match &mut self.interrupts {
            Some(interrupts) => interrupts.wait(child),
            None => sys::wait(child).map(Some),
        }
    }

    /// Waits for the background job at `index` and forgets it.
    pub fn wait_for_job(&mut self, index: usize) -> Outcome {
        let job = self.jobs.list.remove(index);
        self.wait_for(job.stages)
    }

    /// Forgets jobs that ended, and says so to a person.
    pub fn reap(&mut self) {
        let mut index = 0;
        while index < self.jobs.list.len() {
            let job = &mut self.jobs.list[index];
            match job.poll() {
                Some(status) if self.interactive => {
                    let how = if status == 0 { "done".into() } else { format!("exit {status}") };
                    let line = format!("[{}] {how}\t{}\n", job.number, job.text);
                    self.jobs.list.remove(index);
                    self.complain_raw(&line);
                }
                _ => index += 1,
            }
        }
    }
}
