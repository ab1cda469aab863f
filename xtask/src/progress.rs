//! What a person sees while they wait: a bar or a spinner on standard error when that is a terminal, else nothing.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One piece of work that takes a while. Gone from the terminal when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(length: Option<u64>, template: &str, what: &str) -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// Work of unknown length.
    #[must_use]
    pub fn spinner(what: &str) -> Self {
        Self::new(None, "{spinner} {wide_msg} {elapsed}", what)
    }

    /// Work of `length` steps.
    #[must_use]
    pub fn bar(length: u64, what: &str) -> Self {
        Self::new(Some(length), "[{bar:30}] {pos}/{len} {elapsed} {wide_msg}", what)
    }

    /// Work of `length` steps that takes so long that a person wants to know when it ends.
    #[must_use]
    pub fn estimated(length: u64, what: &str) -> Self {
        Self::new(Some(length), "[{bar:30}] {pos}/{len} {elapsed}, {eta} to go, {wide_msg}", what)
    }

    /// One step done; `what` is being worked on.
    pub fn step(&self, what: &str) {
        if self.bar.length().is_some_and(|length| self.bar.position() >= length) {
            self.bar.inc_length(1);
        }
        self.bar.inc(1);
        self.bar.set_message(what.to_owned());
    }

    /// What is being worked on now.
    pub fn message(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// How many steps are done.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.bar.position()
    }

    /// Ends the display.
    pub fn finish(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
