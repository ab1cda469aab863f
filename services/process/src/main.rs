//! The process server as a component.
#![no_std]
#![no_main]
