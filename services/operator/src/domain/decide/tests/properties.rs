//! What holds whatever is observed.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Class, Constraint, Database, Mode, Outcome, decide};
use super::world::{FULL, Load, PRESSED, QUIET, STATEMENT, World};

/// Something that happens in a second.
#[derive(Clone, Debug)]
enum Happens {
    Load(usize, Load),
    Database(Database),
    Probe(Outcome),
    NoProbe,
    Pods(usize, usize),
    Asked(usize, u32),
    Silence(usize),
    Headroom(u32),
    Seconds(usize),
}

fn load() -> impl Strategy<Value = Load> {
    let held = prop_oneof![Just(None), (0..30u64).prop_map(Some)];
    let cpu = prop_oneof![Just(None), (0.0..1.2f64).prop_map(Some)];
    let random = (0..25u32, 0..25u32, 0..100u32, 0..3000u64, 0..3000u64, 1..100u64, held, (cpu, 0..9u32)).prop_map(
        |(limit, in_use, waiting, refused, uses, millis, held, (cpu, spare))| {
            let (limit, in_use) = (limit, in_use.min(limit));
            Load { limit, in_use, waiting, refused, uses, millis, micros: 0, held, cpu, spare }
        },
    );
    prop_oneof![random, Just(QUIET), Just(PRESSED), Just(FULL)]
}

fn happens() -> impl Strategy<Value = Happens> {
    let database = (1..10u32, 0..80u32, 0..80u32, 0..20u32).prop_map(|(slow, on_cpu, on_io, on_locks)| Database {
        statement: STATEMENT * slow,
        on_cpu,
        on_io,
        on_locks,
        ..Database::default()
    });
    prop_oneof![
        4 => (0..2usize, load()).prop_map(|(scaler, load)| Happens::Load(scaler, load)),
        2 => database.prop_map(Happens::Database),
        1 => prop_oneof![Just(Outcome::NoSlot), Just(Outcome::Failed("gone".into()))].prop_map(Happens::Probe),
        1 => Just(Happens::NoProbe),
        1 => (0..2usize, 0..25usize).prop_map(|(scaler, pods)| Happens::Pods(scaler, pods)),
        1 => (0..2usize, 0..30u32).prop_map(|(scaler, replicas)| Happens::Asked(scaler, replicas)),
        1 => (0..2usize).prop_map(Happens::Silence),
        1 => (0..300u32).prop_map(Happens::Headroom),
        4 => prop_oneof![1..20usize, 280..400usize].prop_map(Happens::Seconds),
    ]
}

/// Lets it happen. `check` sees each decision with the replicas that there were.
fn play(
    world: &mut World,
    events: &[Happens],
    mut check: impl FnMut(&World) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for event in events {
        match event.clone() {
            Happens::Load(scaler, load) => world.loads[scaler] = load,
            Happens::Database(database) => (world.database, world.is_probed) = (database, true),
            Happens::Probe(outcome) => {
                world.is_probed = false;
                world.probe(outcome);
            }
            Happens::NoProbe => (world.is_probed, world.seen.probe) = (false, None),
            Happens::Pods(scaler, pods) => world.pods(scaler, pods),
            Happens::Asked(scaler, replicas) => world.seen.scalers[scaler].replicas = replicas,
            Happens::Silence(scaler) => {
                world.now = world.now + Duration::from_secs(4);
                for pod in &mut world.seen.scalers[scaler].pods {
                    pod.ready_since = Default::default();
                }
            }
            Happens::Headroom(left) => world.ledger.charged = 240u32.saturating_sub(left),
            Happens::Seconds(seconds) => {
                for _ in 1..seconds {
                    world.second();
                    check(world)?;
                }
            }
        }
        let is_silent = matches!(event, Happens::Silence(_));
        if is_silent {
            world.decide();
        } else {
            world.second();
        }
        check(world)?;
    }
    Ok(())
}

fn events() -> impl Strategy<Value = Vec<Happens>> {
    prop::collection::vec(happens(), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn replicas_and_connections_stay_within_their_bounds_and_are_explained(events in events()) {
        play(&mut World::experienced(), &events, |world| {
            for (decision, (spec, seen)) in world.decisions.iter().zip(world.spec.scalers.iter().zip(&world.seen.scalers)) {
                let is_off = seen.replicas == 0 && decision.replicas == 0;
                prop_assert!(is_off || (spec.min_replicas..=spec.max_replicas).contains(&decision.replicas), "{decision:?}");
                prop_assert!((spec.floor..=spec.ceiling).contains(&decision.connections), "{decision:?}");
                for words in [&decision.why, &decision.otherwise] {
                    prop_assert!(words.ends_with('.') && words.len() > 20 && !words.contains("NaN") && !words.contains("inf"), "{words}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn nothing_scales_out_while_the_lack_is_behind_the_connections(events in events()) {
        play(&mut World::experienced(), &events, |world| {
            for ((decision, seen), spec) in world.decisions.iter().zip(&world.seen.scalers).zip(&world.spec.scalers) {
                if decision.class.is_behind() || matches!(decision.class, Class::MetricsStale | Class::BudgetBound) {
                    prop_assert!(decision.replicas <= seen.replicas.max(spec.min_replicas), "{decision:?}");
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn only_calm_shrinks_and_never_while_a_pod_is_silent(events in events()) {
        play(&mut World::experienced(), &events, |world| {
            for ((decision, seen), spec) in world.decisions.iter().zip(&world.seen.scalers).zip(&world.spec.scalers) {
                if decision.replicas < seen.replicas.min(spec.max_replicas) {
                    prop_assert_eq!(decision.class, Class::Calm);
                    let is_heard = seen.pods.iter().filter_map(|pod| pod.report.as_ref()).all(|report| {
                        report.limit > 0 && world.now.since(report.at) <= Duration::from_secs(3)
                    });
                    prop_assert!(is_heard, "{decision:?}");
                    prop_assert!(seen.replicas - decision.replicas <= (seen.replicas / 10).max(1));
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_same_is_decided_from_the_same(events in events()) {
        let (mut one, mut other) = (World::experienced(), World::experienced());
        play(&mut one, &events, |_| Ok(()))?;
        play(&mut other, &events, |_| Ok(()))?;
        prop_assert_eq!(&one.decisions, &other.decisions);
        prop_assert_eq!(&one.memory, &other.memory);
        let again = || decide(&one.spec, &one.seen, &one.ledger, one.memory.clone(), one.now);
        prop_assert_eq!(again(), again());
    }

    #[test]
    fn a_paused_scaler_is_left_as_it_is(events in events()) {
        let mut world = World::experienced();
        world.spec.scalers[0].is_paused = true;
        world.spec.scalers[1].mode = Mode::Observe;
        play(&mut world, &events, |world| {
            prop_assert_eq!(world.decisions[0].replicas, world.seen.scalers[0].replicas);
            prop_assert!(world.decisions[0].constraints.contains(&Constraint::Paused));
            prop_assert!(world.decisions.iter().all(|decision| !decision.is_enforced));
            Ok(())
        })?;
    }

    /// Whoever asks for more gets no fewer connections and no fewer replicas.
    #[test]
    fn more_that_is_asked_for_gives_no_less(
        waiting in 1..60u32, refused in 0..500u64, more_waiting in 0..60u32, more_refused in 0..500u64, limit in 2..=20u32,
    ) {
        let decided = |waiting, refused| {
            let mut world = World::experienced();
            world.loads[0] = Load { limit, in_use: limit, waiting, refused, uses: u64::from(limit) * 100, ..PRESSED };
            world.run(2)
        };
        let (less, more) = (decided(waiting, refused), decided(waiting + more_waiting, refused + more_refused));
        prop_assert!(more.replicas >= less.replicas, "{less:?} {more:?}");
        if more.replicas == less.replicas {
            prop_assert!(more.connections >= less.connections, "{less:?} {more:?}");
        }
    }
}
