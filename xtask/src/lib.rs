//! The one tool of Motte as a library: what its commands and the whole-system tests are made of.
//!
//! | module | what it does |
//! |---|---|
//! | [`workspace`] | where things are, and which programs there are |
//! | [`prepare`] | sees to it that the host has what a command needs |
//! | [`compile`] | builds kernel, programs and boot image |
//! | [`elf`], [`boot_image`], [`manifest`] | what goes into the boot image |
//! | [`disk`] | makes, fills, locks and checks disk images |
//! | [`machine`], [`network`], [`backlog`] | one QEMU process and how it ended; its network card, and who connects to it |
//! | [`session`] | a machine driven from a program as a person would at its console |
//! | [`load`] | what the system writes while it is cut off or its components are killed, and the check of it |
//! | [`random`] | numbers that follow from a seed |
//! | [`process`], [`progress`] | child processes that are always cleaned up; what a person sees while they wait |
//! | [`run`] and the rest | the commands |

pub mod backlog;
pub mod bench;
pub mod boot_image;
pub mod campaign;
pub mod compile;
pub mod disk;
pub mod elf;
pub mod lines;
pub mod load;
pub mod machine;
pub mod manifest;
pub mod network;
pub mod new_service;
pub mod powercut;
pub mod prepare;
pub mod process;
pub mod progress;
pub mod random;
pub mod run;
pub mod session;
pub mod test;
pub mod torture;
pub mod unsafe_check;
pub mod workspace;
