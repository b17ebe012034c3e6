//! The board as metrics. A series that is observed no more is exported no more, so that a replica that stops leading is silent.

use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use tokio::time::Instant;

use super::board::{Board, BudgetShown, ScalerShown};
use crate::domain::decide::Constraint;
use crate::probe::Doing;

/// A value, and what it is of besides the scaler or the budget.
type Value<T> = (T, Option<(&'static str, String)>);

/// Measures what is on the board from now on, as long as the process lives.
pub(super) fn observe(board: &Board) {
    of_scalers(board);
    of_budgets(board);
    let (meter, shown) = (opentelemetry::global::meter("selvage.operator"), board.clone());
    meter
        .u64_observable_gauge("selvage.operator.streams")
        .with_unit("{stream}")
        .with_description("Processes that have a stream to this replica, which leads.")
        .with_callback(move |observer| {
            if let Some(shown) = shown.shown(Instant::now()) {
                observer.observe(shown.streams.into(), &[]);
            }
        })
        .build();
}

fn one<T>(value: Option<T>) -> Vec<Value<T>> {
    value.into_iter().map(|value| (value, None)).collect()
}

fn by<T>(name: &'static str, values: impl IntoIterator<Item = (impl Into<String>, Option<T>)>) -> Vec<Value<T>> {
    values.into_iter().filter_map(|(what, value)| Some((value?, Some((name, what.into()))))).collect()
}

fn conditions(conditions: &[(String, bool)]) -> Vec<Value<u64>> {
    by("condition", conditions.iter().map(|(name, is_so)| (name.as_str(), Some(u64::from(*is_so)))))
}

fn of_scalers(board: &Board) {
    let whole = |name, unit, description, values: fn(&ScalerShown) -> Vec<Value<u64>>| {
        let meter = opentelemetry::global::meter("selvage.operator");
        let board = board.clone();
        let observe = move |observer: &dyn AsyncInstrument<u64>| {
            let shown = board.shown(Instant::now());
            for scaler in shown.iter().flat_map(|shown| &shown.scalers) {
                observed(observer, "scaler", &scaler.name, values(scaler));
            }
        };
        meter.u64_observable_gauge(name).with_unit(unit).with_description(description).with_callback(observe).build();
    };
    whole("selvage.operator.replicas", "{replica}", "Replicas: present, ready, and desired.", |scaler| {
        let states = [("present", scaler.present), ("ready", Some(scaler.ready)), ("desired", scaler.desired)];
        by("state", states.map(|(state, count)| (state, count.map(u64::from))))
    });
    whole("selvage.operator.connections", "{connection}", "Connections of all pods of a scaler.", |scaler| {
        let states = [("granted", Some(scaler.granted)), ("charged", Some(scaler.charged)), ("open", scaler.open)];
        by("state", states.map(|(state, count)| (state, count.map(u64::from))))
    });
    whole("selvage.operator.connections.wanted", "{connection}", "Connections that each pod should have.", |scaler| {
        one(scaler.wanted.map(u64::from))
    });
    whole("selvage.operator.waiting", "{caller}", "Callers that wait for a connection.", |scaler| {
        one(Some(scaler.waiting.into()))
    });
    whole("selvage.operator.class", "", "What is the matter with a scaler: 1 for that class.", |scaler| {
        by("class", scaler.class.map(|class| (class.name(), Some(1))))
    });
    whole("selvage.operator.limited", "", "Whether a constraint keeps a scaler from what is needed.", |scaler| {
        let is_so = |name: &'static str| (name, Some(u64::from(scaler.limited.contains(&name))));
        by("constraint", Constraint::LACKS.map(is_so))
    });
    whole("selvage.operator.scaler.condition", "", "Whether a condition of a scaler is true.", |scaler| {
        conditions(&scaler.conditions)
    });
}

fn of_budgets(board: &Board) {
    let whole = |name, unit, description, values: fn(&BudgetShown) -> Vec<Value<u64>>| {
        let meter = opentelemetry::global::meter("selvage.operator");
        let board = board.clone();
        let observe = move |observer: &dyn AsyncInstrument<u64>| {
            let shown = board.shown(Instant::now());
            for budget in shown.iter().flat_map(|shown| &shown.budgets) {
                observed(observer, "budget", &budget.name, values(budget));
            }
        };
        meter.u64_observable_gauge(name).with_unit(unit).with_description(description).with_callback(observe).build();
    };
    whole("selvage.operator.budget", "{connection}", "Connections that pods may have together.", |budget| {
        one(Some(budget.budget.into()))
    });
    whole("selvage.operator.budget.connections", "{connection}", "What becomes of a budget.", |budget| {
        let states = [
            ("charged", budget.charged),
            ("set_aside", budget.set_aside),
            ("headroom", budget.headroom),
            ("excess", budget.excess),
        ];
        by("state", states.map(|(state, count)| (state, Some(count.into()))))
    });
    whole("selvage.operator.budget.condition", "", "Whether a condition of a budget is true.", |budget| {
        conditions(&budget.conditions)
    });
    whole("selvage.operator.sessions", "{connection}", "Sessions that the database last showed.", |budget| {
        let of = budget.sessions.map(|of| [("pods", of.pods), ("strays", of.strays), ("others", of.others)]);
        by("of", of.into_iter().flatten().map(|(of, count)| (of, Some(count.into()))))
    });
    whole("selvage.operator.sessions.free", "{connection}", "Connections that the database has left.", |budget| {
        one(budget.answer.as_ref().and_then(|answer| answer.free).map(u64::from))
    });
    whole("selvage.operator.probe.outcome", "", "What the last look at a database came to.", |budget| {
        let is_so = |outcome| Some(u64::from(budget.outcome? == outcome));
        by("outcome", ["Answered", "NoSlot", "Failed"].map(|outcome| (outcome, is_so(outcome))))
    });
    whole("selvage.operator.probe.backends", "{backend}", "Backends that are at work, by what they do.", |budget| {
        let does = [
            (Doing::Cpu, "cpu"),
            (Doing::Io, "io"),
            (Doing::Lock, "lock"),
            (Doing::LightweightLock, "lightweight_lock"),
            (Doing::Other, "other"),
        ];
        let count =
            |doing| Some(budget.answer.as_ref()?.doing.as_ref()?.get(&doing).copied().unwrap_or_default().into());
        by("doing", does.map(|(doing, name)| (name, count(doing))))
    });
    let parts = |name, unit, description, values: fn(&BudgetShown, Instant) -> Option<f64>| {
        let meter = opentelemetry::global::meter("selvage.operator");
        let board = board.clone();
        let observe = move |observer: &dyn AsyncInstrument<f64>| {
            let now = Instant::now();
            let shown = board.shown(now);
            for budget in shown.iter().flat_map(|shown| &shown.budgets) {
                observed(observer, "budget", &budget.name, one(values(budget, now)));
            }
        };
        meter.f64_observable_gauge(name).with_unit(unit).with_description(description).with_callback(observe).build();
    };
    parts("selvage.operator.probe.statement", "s", "How long the probe's statement took.", |budget, _| {
        Some(budget.answer.as_ref()?.statement.as_secs_f64())
    });
    parts("selvage.operator.probe.slowness", "", "That as a multiple of what it usually takes.", |budget, _| {
        budget.answer.as_ref()?.slowness
    });
    parts("selvage.operator.probe.age", "s", "How long ago a database last answered.", |budget, now| {
        Some(now.saturating_duration_since(budget.answered?).as_secs_f64())
    });
}

fn observed<T>(observer: &dyn AsyncInstrument<T>, kind: &'static str, name: &str, values: Vec<Value<T>>) {
    let name = KeyValue::new(kind, name.to_owned());
    for (value, more) in values {
        match more {
            Some((key, text)) => observer.observe(value, &[name.clone(), KeyValue::new(key, text)]),
            None => observer.observe(value, std::slice::from_ref(&name)),
        }
    }
}
