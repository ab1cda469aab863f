//! Commands that the shell runs itself.

mod flow;
mod info;
mod output;
mod process;
mod test;
mod variables;

pub use variables::apply_options;

use alloc::string::String;

use crate::shell::{Flow, Outcome, Shell};
use crate::sys;

type Builtin = fn(&mut Shell, &[String]) -> Outcome;

/// What a builtin is, beyond its code.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// POSIX's special ones: found before functions, assignments before them stay.
    Special,
    /// Prints a bounded text and reads nothing.
    Prints,
    /// Any other.
    Plain,
}

/// Every builtin with a line of help.
const TABLE: &[(&str, Kind, Builtin, &str)] = &[
    (".", Kind::Special, flow::source, ". file [args]  run the commands in a file here"),
    (":", Kind::Special, flow::succeed, ":  do nothing, successfully"),
    ("[", Kind::Plain, test::bracket, "[ expression ]  test files, texts and numbers"),
    ("alias", Kind::Plain, info::alias, "alias [name=text]  define or show aliases"),
    ("break", Kind::Special, flow::break_, "break [n]  leave a loop"),
    ("builtin", Kind::Plain, info::builtin, "builtin name [args]  run a builtin even when a function hides it"),
    ("cd", Kind::Plain, flow::cd, "cd [directory|-]  change the working directory"),
    ("command", Kind::Plain, info::command, "command [-v] name  run or find a command, functions apart"),
    ("continue", Kind::Special, flow::continue_, "continue [n]  begin a loop's next round"),
    ("echo", Kind::Prints, output::echo, "echo [-ne] [text]  print arguments"),
    ("eval", Kind::Special, flow::eval, "eval text  run the arguments as a command"),
    ("exec", Kind::Special, process::exec, "exec [command]  run a program in the shell's place"),
    ("exit", Kind::Special, flow::exit, "exit [status]  end the shell"),
    ("export", Kind::Special, variables::export, "export name[=value]  give a variable to programs"),
    ("false", Kind::Prints, flow::fail, "false  do nothing, unsuccessfully"),
    ("fg", Kind::Plain, process::fg, "fg [%n]  wait for a background job"),
    ("getopts", Kind::Plain, variables::getopts, "getopts letters name  read options one by one"),
    ("hash", Kind::Plain, info::hash, "hash [-r]  show or forget where programs were found"),
    ("help", Kind::Prints, info::help, "help [name]  show this list"),
    ("history", Kind::Prints, info::history, "history [-c]  show or clear the lines typed"),
    ("jobs", Kind::Prints, process::jobs, "jobs  list background jobs"),
    ("kill", Kind::Plain, process::kill, "kill pid|%job|component  end something"),
    ("local", Kind::Plain, variables::local, "local name[=value]  a variable of this function"),
    ("printf", Kind::Prints, output::printf, "printf format [args]  print formatted text"),
    ("pwd", Kind::Prints, flow::pwd, "pwd  print the working directory"),
    ("read", Kind::Plain, variables::read, "read [-r] [-p prompt] name  read a line"),
    ("readonly", Kind::Special, variables::readonly, "readonly name[=value]  fix a variable"),
    ("return", Kind::Special, flow::return_, "return [status]  leave a function"),
    ("set", Kind::Special, variables::set, "set [-efux] [--] [args]  switches and parameters"),
    ("shift", Kind::Special, variables::shift, "shift [n]  drop the first parameters"),
    ("sleep", Kind::Plain, process::sleep, "sleep seconds  wait"),
    ("source", Kind::Plain, flow::source, "source file [args]  the same as ."),
    ("test", Kind::Plain, test::test, "test expression  test files, texts and numbers"),
    ("trap", Kind::Special, process::trap, "trap command EXIT|INT  run a command at the end or on Ctrl-C"),
    ("true", Kind::Prints, flow::succeed, "true  do nothing, successfully"),
    ("type", Kind::Plain, info::type_, "type name  say what a command is"),
    ("unalias", Kind::Plain, info::unalias, "unalias [-a] name  remove aliases"),
    ("unset", Kind::Special, variables::unset, "unset [-vf] name  remove a variable or function"),
    ("wait", Kind::Plain, process::wait, "wait [pid|%job]  wait for background jobs"),
];

fn find(name: &str) -> Option<&'static (&'static str, Kind, Builtin, &'static str)> {
    TABLE.binary_search_by(|entry| entry.0.cmp(name)).ok().map(|index| &TABLE[index])
}

/// Whether `name` is a builtin.
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// Whether `name` is one that POSIX calls special.
pub fn is_special(name: &str) -> bool {
    find(name).is_some_and(|entry| entry.1 == Kind::Special)
}

/// Whether `name` prints a bounded text and does nothing else.
pub fn only_prints(name: &str) -> bool {
    find(name).is_some_and(|entry| entry.1 == Kind::Prints)
}

/// The names of all builtins, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|entry| entry.0)
}

/// Runs the builtin that `fields` begins with.
pub fn run(shell: &mut Shell, fields: &[String]) -> Outcome {
    match fields.first().and_then(|name| find(name)) {
        Some((_, kind, builtin, _)) => match builtin(shell, fields) {
            // Only a special builtin's mistake ends a script.
            Err(Flow::Failed(status)) if *kind != Kind::Special => Ok(status),
            result => result,
        },
        None => Ok(127),
    }
}

/// Prints on standard output; the status says whether that worked.
fn print(shell: &mut Shell, text: &[u8]) -> Outcome {
    match shell.state.streams.write(1, text) {
        Ok(()) => Ok(0),
        // A program whose reader is gone ends without a word; a shell in a pipeline is no different.
        Err(error) if error.kind() == sys::io::ErrorKind::BrokenPipe && !shell.interactive => Err(Flow::Exit(141)),
        Err(error) => {
            shell.complain(&alloc::format!("cannot write: {}", sys::describe(&error)));
            Ok(1)
        }
    }
}

/// Complains about wrong use; status 2.
fn misuse(shell: &mut Shell, message: &str) -> Outcome {
    shell.complain(message);
    Ok(2)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted() {
        assert!(super::TABLE.is_sorted_by_key(|entry| entry.0));
    }
}
