//! An order's life: whoever places it, two relays, the sweep, its buyer, an admin and the carrier, in whatever order they
//! come. What they decide is the shop's own code; time, the database and the callees are the model's.

use selvage_outbox::Failure;
use uuid::Uuid;

use super::callees::{Booked, Callees, Mistake, Parcel, Stock};
use crate::domain::order::{Asked, PaymentState, State};
use crate::domain::recovery::{self, Authorisation, RESERVATION_MARGIN_MS};
use crate::domain::refusal::Refusal;
use crate::peers::Answer;
use crate::saga::messages::{self, Decision, Undo, settlement};
use crate::saga::topics::{Outcome, Topic};
use crate::store::Change;

const ORDER: Uuid = Uuid::from_u128(7);

/// What a run of the model is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// Whether the provider likes the card.
    pub(super) card: bool,
    /// Whether the goods are there.
    pub(super) goods: bool,
    pub(super) mistake: Option<Mistake>,
}

/// How often what goes wrong may do so yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Mishaps {
    /// A claim ends while its relay is at work, which goes on.
    pub(super) lapses: u8,
    /// What was done isn't stored: the relay died, or its session.
    pub(super) losses: u8,
    /// A call is answered by nobody, done or not.
    pub(super) silences: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Relay {
    /// Whether its claim is still its own.
    holds: bool,
    /// What it has still to do, first of all the next.
    work: Vec<(u8, Topic)>,
    done: Vec<u8>,
    outcomes: Vec<Outcome>,
    /// It has stopped at a message; `true`: for good.
    failed: Option<(u8, bool)>,
}

/// Where whoever decides about a pending order stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Placing {
    Reserve,
    Authorise,
    /// The sweep has asked the provider.
    Known(Authorisation),
    Decided(Verdict),
}

/// A [`Decision`] in so few words that worlds can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Verdict {
    Confirm,
    OutOfStock,
    Declined,
    Interrupted { payment: bool },
    Lapsed,
}

impl Verdict {
    fn of(decision: &Decision) -> Option<Self> {
        Some(match decision {
            Decision::AskAgain => return None,
            Decision::Confirm => Self::Confirm,
            Decision::Refuse(Refusal::OutOfStock { .. }, _) => Self::OutOfStock,
            Decision::Refuse(Refusal::PaymentDeclined, _) => Self::Declined,
            Decision::Refuse(Refusal::Interrupted, undo) => {
                Self::Interrupted { payment: *undo == Undo::StockAndPayment }
            }
            Decision::Refuse(Refusal::ReservationLapsed, _) => Self::Lapsed,
        })
    }

    fn step(self) -> (State, Change) {
        let undone = |refusal, undo| messages::refused(ORDER, refusal, undo);
        match self {
            Self::Confirm => (State::Confirmed, messages::confirmed(ORDER)),
            Self::OutOfStock => undone(Refusal::OutOfStock { shortages: Vec::new() }, Undo::Nothing),
            Self::Declined => undone(Refusal::PaymentDeclined, Undo::Stock),
            Self::Interrupted { payment: false } => undone(Refusal::Interrupted, Undo::Stock),
            Self::Interrupted { payment: true } => undone(Refusal::Interrupted, Undo::StockAndPayment),
            Self::Lapsed => undone(Refusal::ReservationLapsed, Undo::StockAndPayment),
        }
    }
}

/// A message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Waiting {
    id: u8,
    topic: Topic,
    dead: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    state: State,
    payment: PaymentState,
    messages: Vec<Waiting>,
    next_id: u8,
    /// In no order: they are alike.
    relays: [Option<Relay>; 2],
    placing: Option<Placing>,
    sweeping: Option<Placing>,
    /// Requests that nobody waits for any more, but that arrive yet.
    reserve_comes: bool,
    authorise_comes: bool,
    /// The reservation has too little time left for the order to be confirmed.
    late: bool,
    callees: Callees,
    mails: Vec<Topic>,
    mishaps: Mishaps,
    /// What each message was answered the first time.
    answered: Vec<(u8, Option<Outcome>)>,
}

/// A promise that was broken.
pub(super) type Broken = String;

/// What may happen next: each with its name, and the world as it is then.
pub(super) type Steps = Vec<(&'static str, World)>;

impl World {
    pub(super) fn new(mishaps: Mishaps) -> Self {
        Self {
            state: State::Pending,
            payment: PaymentState::None,
            messages: Vec::new(),
            next_id: 0,
            relays: [None, None],
            placing: Some(Placing::Reserve),
            sweeping: None,
            reserve_comes: false,
            authorise_comes: false,
            late: false,
            callees: Callees::new(),
            mails: Vec::new(),
            mishaps,
            answered: Vec::new(),
        }
    }

    /// A confirmed order, none of whose messages is done.
    pub(super) fn confirmed(mishaps: Mishaps) -> Self {
        let mut world = Self { placing: None, ..Self::new(mishaps) };
        world.callees.reserve();
        world.callees.authorise(true);
        let (state, change) = Verdict::Confirm.step();
        world.advance((State::Pending, state), &change);
        world
    }

    /// The same world for whoever can't tell its two relays apart.
    pub(super) fn in_one_form(mut self) -> Self {
        self.relays.sort_unstable();
        self
    }

    /// All that may happen next.
    ///
    /// # Errors
    /// With the promise that is broken by it.
    pub(super) fn steps(&self, setting: Setting) -> Result<Steps, Broken> {
        let mut steps = Vec::new();
        self.relays_go_on(setting, &mut steps)?;
        self.placing_goes_on(setting, &mut steps);
        self.others_come(setting, &mut steps);
        Ok(steps)
    }

    fn relays_go_on(&self, setting: Setting, steps: &mut Steps) -> Result<(), Broken> {
        for (index, relay) in self.relays.iter().enumerate() {
            let Some(relay) = relay else {
                if index == 0 || self.relays[0] != self.relays[1] {
                    steps.extend(self.claimed(index).map(|world| ("a relay claims the order", world)));
                }
                continue;
            };
            if relay.failed.is_none() && !relay.work.is_empty() {
                let mut answered = self.clone();
                answered.attempt(index, setting, true)?;
                if self.mishaps.silences > 0 {
                    // It is done, and the answer is lost.
                    let mut silent = answered.clone();
                    silent.mishaps.silences -= 1;
                    silent.relays[index] = Some(relay.clone());
                    silent.gives_up(index, false);
                    steps.push(("a message is done, and its answer lost", silent));
                    let mut away = self.clone();
                    away.mishaps.silences -= 1;
                    away.gives_up(index, false);
                    steps.push(("whoever is to do a message is away", away));
                }
                steps.push(("a message is done", answered));
            }
            if !relay.done.is_empty() || relay.failed.is_some() {
                let mut stored = self.clone();
                stored.settle(index, setting)?;
                steps.push(("a relay stores what came of messages", stored));
                if self.mishaps.losses > 0 {
                    let mut lost = self.clone();
                    lost.relays[index] = None;
                    lost.mishaps.losses -= 1;
                    steps.push(("what came of messages is lost", lost));
                }
            }
            if relay.holds && self.mishaps.lapses > 0 {
                let mut lapsed = self.clone();
                lapsed.mishaps.lapses -= 1;
                lapsed.relays[index].as_mut().expect("it is at work").holds = false;
                steps.push(("a claim lapses", lapsed));
            }
        }
        Ok(())
    }

    fn claimed(&self, index: usize) -> Option<Self> {
        let held = self.relays.iter().flatten().any(|relay| relay.holds);
        let head = self.messages.first().filter(|head| !head.dead && !held)?;
        debug_assert!(!head.dead);
        let work = self.messages.iter().take_while(|message| !message.dead).map(|message| (message.id, message.topic));
        let relay = Relay { holds: true, work: work.collect(), done: Vec::new(), outcomes: Vec::new(), failed: None };
        let mut world = self.clone();
        world.relays[index] = Some(relay);
        Some(world)
    }

    /// A relay does its next message.
    fn attempt(&mut self, index: usize, setting: Setting, stays: bool) -> Result<(), Broken> {
        let (id, topic) = self.relays[index].as_ref().expect("it is at work").work[0];
        let answer = self.ask(topic, setting.mistake);
        let outcome = topic.outcome(answer.clone());
        match (&outcome, self.answered.iter().find(|(answered, _)| *answered == id)) {
            (Ok(outcome), None) => self.answered.push((id, *outcome)),
            (Ok(outcome), Some((_, first))) if outcome == first => {}
            (_, Some((_, first))) => {
                return Err(format!("{topic:?} was answered {first:?} the first time, and then {answer:?}"));
            }
            (Err(Failure::Never(_)), None) => return Err(format!("{topic:?} is refused for good: {answer:?}")),
            (Err(Failure::Later(_)), None) => {}
        }
        match outcome {
            Ok(outcome) if stays => {
                let relay = self.relays[index].as_mut().expect("it is at work");
                relay.work.remove(0);
                relay.done.push(id);
                relay.outcomes.extend(outcome);
            }
            Ok(_) => {}
            Err(failure) => self.gives_up(index, matches!(failure, Failure::Never(_))),
        }
        Ok(())
    }

    fn gives_up(&mut self, index: usize, for_good: bool) {
        let relay = self.relays[index].as_mut().expect("it is at work");
        relay.failed = Some((relay.work[0].0, for_good));
    }

    fn ask(&mut self, topic: Topic, mistake: Option<Mistake>) -> Answer {
        let callees = &mut self.callees;
        match topic {
            Topic::CommitStock => callees.commit_stock(mistake),
            Topic::ReleaseStock => callees.release_stock(mistake),
            Topic::CapturePayment => callees.capture_payment(mistake),
            Topic::VoidPayment => callees.void_payment(mistake),
            Topic::RefundPayment => callees.refund_payment(mistake),
            Topic::CreateShipment => callees.create_shipment(mistake),
            Topic::CancelShipment => callees.cancel_shipment(mistake),
            Topic::ClearCart => {
                callees.cleared = true;
                Ok(())
            }
            Topic::MailConfirmed | Topic::MailCancelled | Topic::MailRefunded | Topic::MailOnItsWay => Ok(()),
        }
    }

    fn settle(&mut self, index: usize, setting: Setting) -> Result<(), Broken> {
        let relay = self.relays[index].take().expect("it is at work");
        if !relay.holds && setting.mistake != Some(Mistake::StoresWithoutClaim) {
            return Ok(());
        }
        self.messages.retain(|message| !relay.done.contains(&message.id));
        for outcome in relay.outcomes {
            let settlement = settlement(ORDER, outcome);
            if let Some(payment) = settlement.payment {
                self.payment = payment;
            }
            if let Some((step, change)) = &settlement.step {
                self.advance(*step, change);
            }
            for mail in settlement.messages {
                let topic = Topic::from_word(mail.topic).expect("ours");
                if self.mails.contains(&topic) {
                    return Err(format!("{topic:?} is handed over twice"));
                }
                self.mails.push(topic);
                self.mails.sort_unstable();
            }
        }
        if let Some((id, true)) = relay.failed {
            self.messages.iter_mut().filter(|message| message.id == id).for_each(|message| message.dead = true);
        }
        Ok(())
    }

    /// As `store::order_advance` does it: only from the state that it is believed to be in.
    fn advance(&mut self, (from, to): (State, State), change: &Change) -> bool {
        assert!(from.may_become(to), "{from:?} never becomes {to:?}");
        if self.state != from {
            return false;
        }
        self.state = to;
        if let Some(payment) = change.payment {
            self.payment = payment;
        }
        self.enqueue(change.messages.iter().map(|message| Topic::from_word(message.topic).expect("ours")));
        true
    }

    fn enqueue(&mut self, topics: impl Iterator<Item = Topic>) {
        for topic in topics {
            self.messages.push(Waiting { id: self.next_id, topic, dead: false });
            self.next_id += 1;
        }
    }

    /// Whoever places it, and the sweep, each go on with what they know, though the other may be at it too: a process that
    /// was stopped for long knows nothing of time.
    fn placing_goes_on(&self, setting: Setting, steps: &mut Steps) {
        if let Some(placing) = &self.placing {
            let mut dies = self.clone();
            dies.placing = None;
            match placing {
                Placing::Reserve => {
                    let mut silent = dies.clone();
                    silent.reserve_comes = true;
                    silent.placing = Some(Placing::Decided(Verdict::Interrupted { payment: false }));
                    steps.push(("nobody answers the reservation", silent));
                    let mut reserved = self.clone();
                    let decided = if !setting.goods {
                        Some(Verdict::OutOfStock)
                    } else if reserved.callees.reserve() {
                        None
                    } else {
                        Some(Verdict::Interrupted { payment: false })
                    };
                    reserved.placing = Some(decided.map_or(Placing::Authorise, Placing::Decided));
                    steps.push(("stock is asked for", reserved));
                }
                Placing::Authorise => {
                    let mut answered = self.clone();
                    let seen = answered.callees.authorise(setting.card);
                    answered.placing = answered.decides(seen, true);
                    steps.push(("money is asked for", answered));
                    // Nobody answers, so the provider is asked what it knows, before or after the request comes to it.
                    let mut silent = self.clone();
                    silent.authorise_comes = true;
                    silent.placing = silent.decides(silent.callees.lookup(), true);
                    steps.push(("nobody answers about the money", silent));
                }
                Placing::Decided(verdict) => {
                    let mut decided = dies.clone();
                    let (state, change) = verdict.step();
                    decided.advance((State::Pending, state), &change);
                    steps.push(("whoever places it decides", decided));
                }
                Placing::Known(_) => {}
            }
            steps.push(("whoever places it dies", dies));
        }
        match &self.sweeping {
            None if self.state == State::Pending => {
                let mut asked = self.clone();
                asked.sweeping = Some(Placing::Known(asked.callees.lookup()));
                steps.push(("the sweep asks the provider", asked));
            }
            Some(Placing::Known(Authorisation::Approved)) => {
                let mut decided = self.clone();
                let reserved = setting.goods && decided.callees.reserve();
                decided.sweeping = decided.decides(Authorisation::Approved, reserved);
                steps.push(("the sweep asks for stock", decided));
            }
            Some(Placing::Known(seen)) => {
                let mut decided = self.clone();
                decided.sweeping = decided.decides(*seen, false);
                steps.push(("the sweep makes up its mind", decided));
            }
            Some(Placing::Decided(verdict)) => {
                let mut decided = self.clone();
                decided.sweeping = None;
                let (state, change) = verdict.step();
                decided.advance((State::Pending, state), &change);
                steps.push(("the sweep decides", decided));
            }
            _ => {}
        }
    }

    fn decides(&self, authorisation: Authorisation, reserved: bool) -> Option<Placing> {
        let until = reserved.then_some(RESERVATION_MARGIN_MS);
        let step = recovery::decide(authorisation, until, i64::from(self.late));
        Verdict::of(&Decision::of(step)).map(Placing::Decided)
    }

    fn others_come(&self, setting: Setting, steps: &mut Steps) {
        let mut comes = |name, allowed: bool, act: &dyn Fn(&mut World)| {
            if allowed {
                let mut world = self.clone();
                act(&mut world);
                steps.push((name, world));
            }
        };
        comes("the buyer cancels", matches!(self.state.asked_to_cancel(), Asked::Becomes(_)), &|world| {
            world.advance((world.state, State::Cancelling), &messages::cancelling(ORDER));
        });
        comes("an admin refunds", matches!(self.state.asked_to_refund(), Asked::Becomes(_)), &|world| {
            world.advance((world.state, State::Refunding), &messages::refunding(ORDER));
        });
        comes("the carrier takes the parcel", self.callees.parcel == Parcel::Made, &|world| {
            world.callees.parcel = Parcel::Left;
        });
        comes("a reservation comes late", self.reserve_comes, &|world| {
            world.reserve_comes = false;
            if setting.goods {
                world.callees.reserve();
            }
        });
        comes("a request for money comes late", self.authorise_comes, &|world| {
            world.authorise_comes = false;
            world.callees.authorise(setting.card);
        });
        comes("time goes by", self.state == State::Pending && !self.late, &|world| world.late = true);
        let over = self.state.was_never_placed() || self.state == State::Cancelled;
        comes("the catalogue ends the reservation", over && self.late && self.callees.stock == Stock::Held, &|world| {
            let _ = world.callees.release_stock(None);
        });
    }

    /// What becomes of it when nothing goes wrong any more: those at work die, what is on its way comes, and one relay
    /// and the sweep do all the rest.
    ///
    /// # Errors
    /// With the promise that is broken by then.
    pub(super) fn calm(&self, setting: Setting) -> Result<(), Broken> {
        let mut world = self.clone();
        (world.relays, world.placing, world.sweeping) = ([None, None], None, None);
        world.mishaps = Mishaps { lapses: 0, losses: 0, silences: 0 };
        for _ in 0..100 {
            let steps = world.steps(setting)?;
            let wanted = |name: &&str| {
                !["the buyer cancels", "an admin refunds", "time goes by", "the carrier takes the parcel"]
                    .contains(name)
                    && !name.starts_with("a relay stores")
            };
            // A relay does all it can before it stores it.
            let next = steps.iter().position(|(name, _)| wanted(name));
            let next = next.or_else(|| steps.iter().position(|(name, _)| name.starts_with("a relay stores")));
            match next {
                Some(next) => world = steps.into_iter().nth(next).expect("it is there").1,
                None => return world.is_well(setting),
            }
        }
        Err(format!("it never ends: {world:?}"))
    }

    /// What must hold at the end.
    fn is_well(&self, setting: Setting) -> Result<(), Broken> {
        let callees = &self.callees;
        let Callees { stock, taken, captured, refunded, parcel, made, .. } = *callees;
        let sold = (stock, taken) == (Stock::Committed, 1);
        let kept = (captured, refunded, self.payment) == (1, 0, PaymentState::Captured);
        let given_back = captured == refunded && captured <= 1 && self.payment == PaymentState::Refunded;
        let well = match self.state {
            State::Confirmed => kept && sold && matches!(parcel, Parcel::Made | Parcel::Left) && callees.cleared,
            State::OnItsWay => kept && sold && parcel == Parcel::Left && callees.cleared,
            State::Cancelled => {
                given_back
                    && matches!((stock, taken), (Stock::Released(_), 0))
                    && matches!(parcel, Parcel::Cancelled | Parcel::Never)
            }
            State::Refunded => given_back && sold && matches!(parcel, Parcel::Made | Parcel::Left),
            state if state.was_never_placed() => {
                // Out of stock is found before anything was asked for.
                let free = matches!(stock, Stock::Free | Stock::Released(_)) && taken == 0;
                free && captured == 0 && callees.booked != Booked::Approved && parcel == Parcel::None
            }
            _ => false,
        };
        let left = self.messages.len();
        if well && left == 0 && made <= 1 {
            Ok(())
        } else {
            Err(format!(
                "it ends {:?}, {:?}, with {left} messages and {callees:?} ({setting:?})",
                self.state, self.payment
            ))
        }
    }
}
