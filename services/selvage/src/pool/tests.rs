use prost_types::Duration;
use selvage_proto::pool::v1::{Budget, ClassRefused, Condition, Constraint, Decision, Pod, Probe, Scaler, Wanted};

use super::{explain, screen, top};

fn budget() -> Budget {
    let millis = |millis: i32| Some(Duration { seconds: 0, nanos: millis * 1_000_000 });
    let wanted = |replicas| Wanted { replicas, connections_per_replica: 8, connections_at_most: None };
    let decision = Decision {
        class: "ReplicaBound".to_owned(),
        reason: "12 callers wait, with 8 of 8 connections in use in 1 pods.".to_owned(),
        otherwise: "It grows from 1 to 2 replicas.".to_owned(),
        raw: Some(wanted(3)),
        r#final: Some(wanted(2)),
        constraints: vec![Constraint {
            name: "scaleUp".to_owned(),
            message: "at most 2 replicas within 15 s".to_owned(),
        }],
        enforced: true,
        ..Decision::default()
    };
    let pod = Pod {
        name: "cart-1\x1b[2J".to_owned(),
        boot_id: "0a1b2c3d".to_owned(),
        granted: Some(8),
        charged: 8,
        limit: Some(8),
        open: 7,
        in_use: 7,
        waiting: 12,
        refused: vec![ClassRefused { class: "sheddable".to_owned(), count: 5 }],
        standing: "has what it wants".to_owned(),
        report_age: millis(400),
    };
    let scaler = Scaler {
        name: "cart".to_owned(),
        target_kind: "Deployment".to_owned(),
        target: "cart".to_owned(),
        mode: "Enforce".to_owned(),
        decision: Some(decision),
        conditions: vec![Condition {
            r#type: "Ready".to_owned(),
            status: "True".to_owned(),
            message: "it is at work".to_owned(),
            ..Condition::default()
        }],
        replicas: 1,
        ready_replicas: 1,
        min_replicas: 1,
        max_replicas: 4,
        floor: 2,
        ceiling: 8,
        granted: 8,
        open: 7,
        in_use: 7,
        waiting: 12,
        pods: vec![pod],
        ..Scaler::default()
    };
    Budget {
        namespace: "shop".to_owned(),
        name: "main".to_owned(),
        budget: 90,
        charged: 8,
        set_aside: 16,
        headroom: 66,
        open: 7,
        leader: "operator-1".to_owned(),
        epoch: 3,
        probe: Some(Probe {
            outcome: "Answered".to_owned(),
            statement: millis(2),
            baseline: millis(1),
            ..Probe::default()
        }),
        scalers: vec![scaler],
        ..Budget::default()
    }
}

#[test]
fn the_page_has_budgets_scalers_with_reasons_and_pods() {
    let page = top::page(&[budget()], 0).join("\n");
    for line in [
        "BUDGET     CONNECTIONS  CHARGED  SET ASIDE  FREE  OPEN  DATABASE                             LEADER",
        "shop/main           90        8         16    66     7  answers in 2.0 ms, ordinarily 1.0 ms  operator-1 (epoch 3)",
        "shop/cart  ReplicaBound  1 → 2         1    4        8     7       7       12  Enforce",
        "  12 callers wait, with 8 of 8 connections in use in 1 pods.",
    ] {
        let wanted: Vec<_> = line.split_whitespace().collect();
        let found = page.lines().any(|found| found.split_whitespace().collect::<Vec<_>>() == wanted);
        assert!(found, "{line} isn't in\n{page}");
    }
    let pod = page.lines().find(|line| line.starts_with("cart-1")).expect("a pod");
    assert!(pod.ends_with("0.4 s  has what it wants") && !page.contains('\x1b'), "{pod}");
    assert!(top::page(&[], 0)[0].contains("There is no ConnectionBudget here"));
}

#[test]
fn a_decision_is_explained_with_what_it_was_made_of() {
    let text = explain::text(&[budget()], "cart").unwrap();
    assert_eq!(explain::text(&[budget()], "shop/cart").unwrap(), text);
    for words in [
        "shop/cart, which scales Deployment cart: ReplicaBound\n\n12 callers wait, with 8 of 8 connections in use in 1 pods.\nIt grows",
        "needed       3 replicas, 8 connections a pod\nconstrained  scaleUp: at most 2 replicas within 15 s\ndecided      2 replicas",
        "workload     1 replica, 1 ready, of 1 to 4; 2 to 8 connections a pod; mode Enforce\n",
        "budget       shop/main: 90 connections, 8 charged, 16 set aside for pods that may come, 66 free\n",
        "database     answers in 2.0 ms, ordinarily 1.0 ms\n",
        "Ready                True    it is at work\n",
    ] {
        assert!(text.contains(words), "{words}\nisn't in\n{text}");
    }
    let unknown = explain::text(&[budget()], "web").unwrap_err().to_string();
    assert_eq!(unknown, "there is no PoolScaler 'web' here; there are shop/cart");
    let other = Budget { namespace: "other".to_owned(), ..budget() };
    let several = explain::text(&[budget(), other], "cart").unwrap_err().to_string();
    assert_eq!(several, "there are several: say which of shop/cart, other/cart");
}

#[test]
fn a_page_is_cut_to_the_terminal() {
    let lines: Vec<_> = (0..9).map(|line| format!("line {line} {}", "x".repeat(90))).collect();
    let drawn = screen::screen(&lines, "foot", (30, 6));
    let shown: Vec<_> = drawn.split("\r\n").collect();
    assert_eq!(shown.len(), 6, "{drawn}");
    assert!(shown[4].starts_with("… 5 lines more") && shown[5].starts_with("foot"), "{shown:?}");
    assert!(
        shown
            .iter()
            .all(|line| line.replace("\x1b[K", "").replace("\x1b[H", "").replace("\x1b[J", "").chars().count() <= 30)
    );
    assert_eq!(screen::screen(&lines[..2], "foot", (30, 6)).split("\r\n").count(), 3);
}
