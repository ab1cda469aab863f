//! The program of all tools: runs the one that it was called as.

#![no_std]
#![no_main]
