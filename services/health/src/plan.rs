//! What the manifest says: `args = ["every=1s", "clock", "pipe"]`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::complaint::Service;
use crate::questions::SERVICES;

/// Whom to ask, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From the end of one round to the beginning of the next.
    pub pause: Duration,
    /// The services, in the order in which they are asked: of a question that takes several, the first that is wrong is blamed.
    pub services: Vec<Service>,
}

/// If nothing is said.
const PAUSE: Duration = Duration::from_secs(1);

impl Plan {
    /// Reads the arguments after the program's name.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut pause, mut named) = (PAUSE, Vec::new());
        for argument in arguments {
            match argument.strip_prefix("every=") {
                Some(time) => pause = period(time)?,
                None => named.push(argument),
            }
        }
        if let Some(unknown) = named.iter().find(|name| SERVICES.iter().all(|service| service.0 != **name)) {
            let known: Vec<&str> = SERVICES.iter().map(|service| service.0).collect();
            return Err(format!("there is no question to `{unknown}`; there are some to {}", known.join(", ")));
        }
        let is_asked = |service: &Service| named.iter().any(|name| name == service.0);
        Ok(Self { pause, services: SERVICES.into_iter().filter(is_asked).collect() })
    }
}

/// A time such as `1s` or `500ms`.
fn period(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse().ok().filter(|&number: &u64| number > 0);
    let time = match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(Duration::from_millis),
        None => text.strip_suffix('s').and_then(number).map(Duration::from_secs),
    };
    time.ok_or_else(|| format!("`every={text}` is no time: write every=1s or every=500ms"))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Plan, String> {
        Plan::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn services_are_asked_in_an_order_of_which_each_needs_those_before_only() {
        let plan = parse(&["fs", "every=250ms", "pipe", "registry"]).unwrap();
        assert_eq!(plan.pause, Duration::from_millis(250));
        assert_eq!(plan.services, [Service("registry"), Service("pipe"), Service("fs")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_a_sentence() {
        assert_eq!(parse(&["every=fast"]).unwrap_err(), "`every=fast` is no time: write every=1s or every=500ms");
        assert!(parse(&["every=0s"]).is_err());
        assert!(parse(&["every=1"]).is_err());
        assert!(parse(&["pipes"]).unwrap_err().starts_with("there is no question to `pipes`; there are some to "));
    }
}
