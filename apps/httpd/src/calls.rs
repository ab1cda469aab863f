//! What goes to the component `dashboard` instead of to the folder.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /api/state` | everything that the page shows, as JSON |
//! | `GET /api/events` | the same as server-sent events, one a second |
//! | `GET /api/log?from=N` | lines of the log from number N on, as JSON |
//! | `GET /api/faults/N` | a fault record, as text |
//! | `POST /api/components/NAME/ACTION` | does it: `start`, `stop`, `restart` or `kill`; needs the token |
//! | `GET /metrics` | for Prometheus |

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use motte_interfaces::dashboard::Action;

use crate::request::{Method, Request};
use crate::status::Status;

/// A question to the dashboard, or something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "see the table above")]
pub enum Call {
    Page,
    State,
    Events,
    Metrics,
    Log { from: u64 },
    Fault { number: u64 },
    Act { action: Action, component: String, token: String },
}

/// Its answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// The body's media type.
    pub media: &'static str,
    /// The body.
    pub body: Arc<[u8]>,
}

impl Reply {
    /// A sentence.
    pub fn sentence(status: Status, text: &str) -> Self {
        let body = alloc::format!("{}: {text}\n", status.0);
        Self { status, media: crate::media::TEXT, body: body.into_bytes().into() }
    }
}

/// What a request asks of the dashboard; `None` if it is for the folder. `path` is the decoded path of its target.
pub fn of_request(request: &Request<'_>, path: &str) -> Result<Option<Call>, Refused> {
    let call = match path {
        "/" => Call::Page,
        "/metrics" => Call::Metrics,
        "/api/state" => Call::State,
        "/api/events" => Call::Events,
        "/api/log" => {
            let query = request.target.split_once('?').map_or("", |(_, query)| query);
            let from = query.split('&').find_map(|pair| pair.strip_prefix("from=")).unwrap_or("0");
            Call::Log { from: from.parse().map_err(|_| Refused::Status(Status::BAD_REQUEST))? }
        }
        _ => {
            let Some(rest) = path.strip_prefix("/api/") else { return Ok(None) };
            if let Some(number) = rest.strip_prefix("faults/") {
                Call::Fault { number: number.parse().map_err(|_| Refused::Status(Status::NOT_FOUND))? }
            } else {
                return act(request, rest).map(Some);
            }
        }
    };
    if matches!(request.method, Method::Get | Method::Head) {
        Ok(Some(call))
    } else {
        Err(Refused::Method("GET, HEAD"))
    }
}

fn act(request: &Request<'_>, rest: &str) -> Result<Call, Refused> {
    let parts = rest.strip_prefix("components/").and_then(|rest| rest.split_once('/'));
    let (component, action) = parts.ok_or(Refused::Status(Status::NOT_FOUND))?;
    let action = match action {
        "start" => Action::Start,
        "stop" => Action::Stop,
        "restart" => Action::Restart,
        "kill" => Action::Kill,
        _ => return Err(Refused::Status(Status::NOT_FOUND)),
    };
    if request.method != Method::Post {
        return Err(Refused::Method("POST"));
    }
    let token = request.token.ok_or(Refused::Status(Status::UNAUTHORIZED))?;
    Ok(Call::Act { action, component: component.to_string(), token: token.to_string() })
}

/// Why a request is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// With this status.
    Status(Status),
    /// It takes these methods only.
    Method(&'static str),
}
