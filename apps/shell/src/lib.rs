//! The shell of Motte: a POSIX-like command language with line editing.
//!
//! From text to action: [`lexer`] and [`parser`] make the tree of [`ast`]; [`expand`] turns its words into
//! arguments; [`exec`] walks it, [`launch`] starts programs and pipelines, [`builtins`] are the commands
//! of the shell itself. [`sys`] is all it asks of the system. There is no copying of processes (`fork`), so
//! [`subshell`] hands state to another shell as text where a second process is needed.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arith;
pub mod ast;
pub mod builtins;
pub mod complete;
pub mod editor;
pub mod exec;
pub mod expand;
mod glob;
pub mod interactive;
pub mod jobs;
pub mod keys;
pub mod launch;
pub mod lexer;
pub mod parser;
pub mod pattern;
pub mod print;
pub mod shell;
pub mod start;
pub mod stream;
pub mod subshell;
pub mod sys;
