//! What comes out is what others' parsers read.

use std::collections::{BTreeMap, BTreeSet};

use motte_dashboard::PAGE;
use motte_dashboard::state::{State, log_to_json, shares};
use motte_dashboard::traffic::{OTHERS, Traffic};
use motte_interfaces::log::LogRecord;
use motte_interfaces::supervisor::{ComponentInfo, FaultSummary, MemoryInfo};
use serde_json::Value;

fn info(name: &str, generation: u64, cpu_ns: u64) -> ComponentInfo {
    ComponentInfo {
        name: name.into(),
        state: "running".into(),
        generation,
        restarts: generation - 1,
        uptime_ns: 1_234_567_890,
        memory: 1 << 20,
        memory_quota: 4 << 20,
        cpu_ns,
        thread: 7,
        slots: 64,
        slots_used: 0,
        restart_in_ns: 0,
        fault: 0,
        reason: String::new(),
        policy: "always".into(),
        provides: vec![name.into()],
        uses: vec!["log".into()],
    }
}

fn state() -> State {
    let before = [info("fs", 1, 500_000_000), info("log", 1, 0)];
    let now = vec![info("fs", 1, 750_000_000), info("log", 2, 100_000_000)];
    State {
        version: "0.1.0".into(),
        uptime_ns: 12_000_000_000,
        memory: MemoryInfo { total: 1 << 30, used: 1 << 26, kernel: 1 << 21 },
        components: shares(&before, now, 1_000_000_000),
        traffic: Traffic { rates: BTreeMap::from([((0, 1), 1500), ((OTHERS, 0), 250_000)]) },
        faults: vec![FaultSummary {
            number: 3,
            time_ns: 5,
            component: "a \"quoted\\ name".into(),
            generation: 2,
            cause: "line\nbreak".into(),
            text_bytes: 0,
        }],
        faults_total: 3,
        log_next: 9,
    }
}

#[test]
fn the_state_says_how_each_component_fares_and_who_talks_to_whom() {
    let value: Value = serde_json::from_str(&state().to_json()).unwrap();
    let fs = &value["components"][0];
    assert_eq!((&fs["name"], &fs["cpu_share"]), (&"fs".into(), &0.25.into()));
    assert_eq!(value["components"][1]["cpu_share"], 0.1, "one that was restarted began at zero");
    assert_eq!(fs["messages_per_second"], 251.5);
    assert_eq!(value["messages_per_second"], 251.5);
    let traffic = &value["traffic"];
    assert_eq!((&traffic[0]["from"], &traffic[0]["to"]), (&"fs".into(), &"log".into()));
    assert_eq!(traffic[1]["from"], "programs");
    assert_eq!(value["faults"][0]["cause"], "line\nbreak");
    assert!(!state().to_json().contains('\n'), "an event has one line");
}

#[test]
fn the_log_says_the_level_in_a_word() {
    let line = |sequence, level| LogRecord { sequence, time_ns: 1, level, source: "fs".into(), text: "\u{7}x".into() };
    let value: Value = serde_json::from_str(&log_to_json(&[line(1, 1), line(2, 99)], 3)).unwrap();
    let levels: Vec<_> = value["lines"].as_array().unwrap().iter().map(|line| line["level"].as_str()).collect();
    assert_eq!((levels, value["next"].as_u64()), (vec![Some("error"), Some("trace")], Some(3)));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    for outside in ["http://", "https://", "//cdn", "@import", "url("] {
        let found: Vec<_> = PAGE.match_indices(outside).map(|(at, _)| &PAGE[at..PAGE.len().min(at + 40)]).collect();
        assert!(found.iter().all(|text| text.starts_with("http://www.w3.org/2000/svg")), "{outside}: {found:?}");
    }
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!PAGE.contains(way), "{way} would take a component's words for markup");
    }
}

/// Reads Prometheus' text format (version 0.0.4) as strictly as it is written down; returns the samples.
fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    let is_name = |name: &str| {
        let head = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
        name.starts_with(head) && name.chars().all(|c| head(c) || c.is_ascii_digit())
    };
    let (mut samples, mut types, mut helps) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let (mut family, mut done) = (String::new(), BTreeSet::new());
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().expect(line), words.next().expect(line));
            assert!(is_name(name), "{line}");
            match what {
                "HELP" => assert!(helps.insert(name.to_owned()), "a second HELP: {line}"),
                "TYPE" => {
                    assert!(["counter", "gauge"].contains(&rest), "{line}");
                    assert!(rest != "counter" || name.ends_with("_total"), "{line}");
                    assert!(types.insert(name.to_owned(), rest).is_none(), "a second TYPE: {line}");
                    assert!(done.insert(std::mem::replace(&mut family, name.to_owned())), "{line}");
                    assert!(!done.contains(name), "the lines of {name} are not together");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        assert!(is_name(name) && name == family, "{line} is not of the family {family}");
        let mut rest = labels;
        while !rest.is_empty() {
            let (label, quoted) = rest.split_once("=\"").expect(line);
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let mut end = None;
            let mut escaped = false;
            for (at, character) in quoted.char_indices() {
                match character {
                    _ if escaped => {
                        assert!(['\\', '"', 'n'].contains(&character), "{line}");
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = Some(at);
                        break;
                    }
                    _ => {}
                }
            }
            rest = &quoted[end.expect(line) + 1..];
            rest = if rest.is_empty() { rest } else { rest.strip_prefix(',').expect(line) };
        }
        let value: f64 = value.parse().expect(line);
        assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }
    assert!(types.keys().all(|name| helps.contains(name)));
    samples
}

#[test]
fn the_metrics_are_what_prometheus_reads() {
    let mut state = state();
    state.components[1].info.name = "odd\"na\\me".into();
    let samples = parse_metrics(&state.to_metrics());
    assert_eq!(samples["motte_component_up{component=\"fs\"}"], 1.0);
    assert_eq!(samples["motte_component_cpu_seconds_total{component=\"fs\"}"], 0.75);
    assert_eq!(samples["motte_component_memory_bytes{component=\"odd\\\"na\\\\me\"}"], 1_048_576.0);
    assert_eq!(samples["motte_messages_per_second{from=\"programs\",to=\"fs\"}"], 250.0);
    assert_eq!(samples["motte_faults_total"], 3.0);
}
