//! What happens to the demo's pods, told line by line: each phase of each pod, each event, with the time since the apply. Pure:
//! objects come in as the watches give them, lines go out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::print::style::{BAD, FAINT, GOOD, PENDING};

/// What is known of the pods so far.
pub struct Story {
    names: Vec<String>,
    said: BTreeMap<String, String>,
    ready: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Story {
    /// A story of these pods.
    #[must_use]
    pub fn of(names: Vec<String>) -> Self {
        Self {
            names,
            said: BTreeMap::new(),
            ready: BTreeSet::new(),
            events: BTreeSet::new(),
        }
    }

    /// Whether every pod is Ready.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.names.iter().all(|name| self.ready.contains(name))
    }

    /// The pods that are not Ready, and how they are.
    #[must_use]
    pub fn missing(&self) -> String {
        let missing = self.names.iter().filter(|name| !self.ready.contains(*name));
        let how = |name: &String| self.said.get(name).map_or("unknown", String::as_str).to_owned();
        missing
            .map(|name| format!("{name}: {}", how(name)))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The line for a pod, if it says something new.
    pub fn pod(&mut self, pod: &Value, since: Duration) -> Option<String> {
        let name = self
            .names
            .iter()
            .find(|name| pod["metadata"]["name"] == name.as_str())?
            .clone();
        let is_ready = ready(pod);
        let text = state(pod, is_ready);
        if is_ready {
            self.ready.insert(name.clone());
        } else {
            self.ready.remove(&name);
        }
        if self.said.get(&name) == Some(&text) {
            return None;
        }
        let style = if is_ready { GOOD } else { PENDING };
        let line = line(since, &name, &format!("{style}{text}{style:#}"));
        self.said.insert(name, text);
        Some(line)
    }

    /// The line for an event, if it is of these pods and new.
    pub fn event(&mut self, event: &Value, since: Duration) -> Option<String> {
        let of = &event["involvedObject"];
        let name = self
            .names
            .iter()
            .find(|name| of["kind"] == "Pod" && of["name"] == name.as_str())?;
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let (reason, message) = (text("reason"), text("message"));
        // The same event comes again each time its count grows.
        if !self.events.insert(format!("{name} {reason} {message}")) {
            return None;
        }
        let style = if event["type"] == "Warning" { BAD } else { FAINT };
        Some(line(since, name, &format!("{style}{reason}: {message}{style:#}")))
    }
}

fn line(since: Duration, name: &str, text: &str) -> String {
    format!("{FAINT}{:>8}{FAINT:#}  {name:<7} {text}", elapsed(since))
}

/// `+42 ms`, `+3.1 s`.
fn elapsed(since: Duration) -> String {
    if since < Duration::from_secs(1) {
        format!("+{} ms", since.as_millis())
    } else {
        format!("+{:.1} s", since.as_secs_f64())
    }
}

fn ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions
            .into_iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// How a pod is, in a few words.
fn state(pod: &Value, is_ready: bool) -> String {
    let status = &pod["status"];
    let phase = status["phase"].as_str().unwrap_or("Pending");
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".to_owned();
    }
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    let mut waiting = containers
        .map(|container| &container["state"]["waiting"])
        .filter(|waiting| waiting.is_object());
    if let Some(waiting) = waiting.next() {
        let reason = waiting["reason"].as_str().unwrap_or("waiting");
        // How far a pull is stands here alone; why something failed comes as an event, too.
        let is_progress = matches!(reason, "ContainerCreating" | "PodInitializing");
        return match waiting["message"]
            .as_str()
            .filter(|message| is_progress && !message.is_empty())
        {
            Some(message) => format!("{phase}, {reason}: {message}"),
            None => format!("{phase}, {reason}"),
        };
    }
    match (is_ready, status["podIP"].as_str(), pod["spec"]["nodeName"].as_str()) {
        (true, Some(ip), _) => format!("{phase}, Ready at {ip}"),
        (true, None, _) => format!("{phase}, Ready"),
        (false, _, Some(node)) if phase == "Pending" => format!("{phase} on node {node}"),
        (false, _, _) => phase.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(line: Option<String>) -> Option<String> {
        line.map(|line| anstream::adapter::strip_str(&line).to_string())
    }

    #[test]
    fn each_state_is_told_once() {
        let mut story = Story::of(vec!["web".to_owned()]);
        let at = Duration::from_millis;
        let pod = |spec: Value, status: Value| json!({"metadata": {"name": "web"}, "spec": spec, "status": status});
        let told = |story: &mut Story, pod: Value, millis| plain(story.pod(&pod, at(millis)));
        let expect = |text: &str| Some(text.to_owned());
        assert_eq!(
            told(&mut story, pod(json!({}), json!({"phase": "Pending"})), 2),
            expect("   +2 ms  web     Pending")
        );
        assert_eq!(told(&mut story, pod(json!({}), json!({"phase": "Pending"})), 3), None);
        let assigned = json!({"nodeName": "n"});
        assert_eq!(
            told(&mut story, pod(assigned.clone(), json!({"phase": "Pending"})), 4),
            expect("   +4 ms  web     Pending on node n")
        );
        let pulling =
            json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]});
        assert_eq!(
            told(&mut story, pod(assigned.clone(), pulling), 5),
            expect("   +5 ms  web     Pending, ContainerCreating")
        );
        assert!(!story.is_over());
        assert_eq!(story.missing(), "web: Pending, ContainerCreating");
        let ready =
            json!({"phase": "Running", "podIP": "10.0.0.2", "conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(
            told(&mut story, pod(assigned, ready), 1500),
            expect("  +1.5 s  web     Running, Ready at 10.0.0.2")
        );
        assert!(story.is_over());
        assert_eq!(story.pod(&json!({"metadata": {"name": "other"}}), at(1)), None);
    }

    #[test]
    fn each_event_is_told_once() {
        let mut story = Story::of(vec!["web".to_owned()]);
        let event = |name: &str, count: u32| json!({"type": "Normal", "reason": "Pulled", "message": "here", "count": count, "involvedObject": {"kind": "Pod", "name": name}});
        assert_eq!(
            plain(story.event(&event("web", 1), Duration::ZERO)),
            Some("   +0 ms  web     Pulled: here".to_owned())
        );
        assert_eq!(story.event(&event("web", 2), Duration::ZERO), None);
        assert_eq!(story.event(&event("other", 1), Duration::ZERO), None);
    }
}
