//! What is true of every trace of the shop.

use std::collections::BTreeSet;

use selvage_tests::spans::{Span, Trace};

fn place(span: &Span) -> String {
    format!("{}: {} {}", span.service, span.kind, span.name)
}

/// The attributes that spans may have.
fn allowed() -> BTreeSet<&'static str> {
    let lines = include_str!("attributes.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What is amiss with the trace's form: whether it hangs together, and each span is what its kind should be.
pub(super) fn findings(trace: &Trace) -> Vec<String> {
    let mut findings = Vec::new();
    let roots = trace.roots();
    if roots.len() != 1 {
        let roots: Vec<_> = roots.iter().map(|root| place(root)).collect();
        findings.push(format!("one root, not {}: {roots:?}", roots.len()));
    }
    let allowed = allowed();
    for span in &trace.spans {
        if span.parent.is_some() && trace.parent(span).is_none() {
            findings.push(format!("{}: its parent isn't in the trace", place(span)));
        }
        let strange = span.tags.keys().filter(|key| !allowed.contains(key.as_str()));
        findings.extend(strange.map(|key| format!("{}: the attribute {key} is not in attributes.txt", place(span))));
        findings.extend(kind(trace, span).into_iter().map(|wrong| format!("{}: {wrong}", place(span))));
    }
    findings
}

/// What is amiss with a span for what it is.
fn kind(trace: &Trace, span: &Span) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut is = |right: bool, what: &str| {
        if !right {
            wrong.push(format!("{what}: {:?}", span.tags));
        }
    };
    let has = |key: &str| span.tags.contains_key(key);
    let parent = trace.parent(span);
    if has("rpc.method") {
        is(span.name == span.tag("rpc.method"), "a call's name is its method");
        is(span.tag("rpc.system.name") == "grpc", "its system is gRPC");
        is(has("rpc.response.status_code"), "it says how it ended");
        is(["client", "server"].contains(&span.kind.as_str()), "it is a client's or a server's");
        let called = parent.is_some_and(|parent| {
            parent.kind == "client" && parent.name == span.name && parent.service != span.service
        });
        is(span.kind != "server" || parent.is_none() || called, "who serves a call stands below who made it");
    } else if has("http.request.method") {
        let name = format!("{} {}", span.tag("http.request.method"), span.tag("http.route"));
        is(span.name == name, "a request's name is its method and route");
        is(span.kind == "server" && has("http.response.status_code"), "it is a server's, and says how it ended");
    } else if has("db.system.name") {
        is(span.kind == "client", "a statement is a client's");
        is(!span.name.is_empty() && span.name == span.tag("db.query.summary"), "a statement's name is its summary");
        let text = span.tag("db.query.text");
        is(!text.is_empty() && !text.contains('\''), "its text is there, without values");
    } else if has("messaging.system") {
        is(span.tag("messaging.system") == "selvage.outbox", "messages are the outbox's");
        is(has("messaging.operation.name"), "it says what is done with the message");
    } else if span.name == "pool.wait" {
        is(span.kind == "internal", "a wait is nobody's call");
        is(has("db.client.connection.pool.name"), "it names its pool");
        let class = ["critical", "normal", "sheddable"].contains(&span.tag("selvage.pool.class"));
        is(class, "it says who waited");
    }
    wrong
}
