//! What can be wrong with an answer.

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

use motte_interfaces::error::IoError;

/// What kind of answer it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not what a service that is well answers.
    Wrong,
    /// None: nobody worked on it for so long that the call was ended, or the service was restarted meanwhile.
    Silence,
    /// It says that its device fails. It may be the service that does.
    Device,
    /// The service cannot do it now: it is stopped, or something is used up. That says nothing of its answers.
    Unavailable,
}

/// An answer that was not the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The service that gave it.
    pub service: Service,
    /// Its kind.
    pub kind: Kind,
    /// What was asked and answered, for people.
    pub what: String,
}

/// What a question comes to.
pub type Answer<T = ()> = Result<T, Complaint>;

/// A service that is asked, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service(pub &'static str);

impl Service {
    /// A complaint about it.
    pub fn complaint(self, kind: Kind, what: String) -> Complaint {
        Complaint { service: self, kind, what }
    }

    /// The answer to a request that a service which is well carries out. `what` was asked of it.
    pub fn does<T>(self, what: &str, answer: Result<T, IoError>) -> Answer<T> {
        answer.map_err(|error| {
            let kind = match error {
                IoError::ServiceRestarted => Kind::Silence,
                IoError::Device => Kind::Device,
                IoError::ServiceGone
                | IoError::OutOfMemory
                | IoError::StorageFull
                | IoError::ReadOnlyFilesystem
                // The kernel refused, not the service.
                | IoError::Other => Kind::Unavailable,
                _ => Kind::Wrong,
            };
            match kind {
                Kind::Silence => self.complaint(kind, format!("no answer when asked to {what}")),
                _ => self.complaint(kind, format!("\"{error}\" when asked to {what}")),
            }
        })
    }

    /// The answer to a request that it must refuse for a reason.
    pub fn refuses<T: Debug>(self, what: &str, answer: Result<T, IoError>, reason: IoError) -> Answer {
        match answer {
            Err(error) if error == reason => Ok(()),
            Err(error @ (IoError::ServiceRestarted | IoError::ServiceGone)) => self.does(what, Err(error)),
            other => {
                Err(self
                    .complaint(Kind::Wrong, format!("{other:?} when asked to {what}, where Err({reason:?}) is right")))
            }
        }
    }

    /// An answer whose value is known.
    pub fn says<T: PartialEq + Debug>(self, what: &str, answered: T, right: T) -> Answer {
        if answered == right {
            return Ok(());
        }
        Err(self.complaint(Kind::Wrong, format!("{answered:?} for {what}, where {right:?} is right")))
    }

    /// Bytes that are known.
    pub fn gives(self, what: &str, answered: &[u8], right: &[u8]) -> Answer {
        self.says(&format!("the length of {what}"), answered.len(), right.len())?;
        match answered.iter().zip(right).position(|(answered, right)| answered != right) {
            None => Ok(()),
            Some(at) => self.says(&format!("byte {at} of {what}"), answered[at], right[at]),
        }
    }
}
