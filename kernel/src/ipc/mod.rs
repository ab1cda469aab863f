//! Messages: where they meet (`endpoint`), how they travel (`message`), how they are answered (`reply`), faults as
//! messages (`fault`), and signals (`notification`); `fast` is the short way through the first three.

pub mod endpoint;
pub mod fast;
pub mod fault;
pub mod message;
pub mod notification;
pub mod reply;
