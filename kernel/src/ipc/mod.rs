//! Messages: where they meet (`endpoint`), how they travel (`message`), how they are answered (`reply`), faults as
//! messages (`fault`), and signals (`notification`).

pub mod endpoint;
pub mod fault;
pub mod message;
pub mod notification;
pub mod reply;
