//! The operations page: the shop's processes as they are, again each second, and the switches of their faults.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRef, FromRequest, FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method, header};
use selvage_boot::Life;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::Code;

use super::form::{self, Form};
use super::query::Query;
use super::{Page, live, redirect_to};
use crate::assets;
use crate::csrf::Csrf;
use crate::fields::Fields;
use crate::frame::page;
use crate::operations::{Answers, Decider, Doors, MAX_TOKEN, Operator, Process, Processes, Seen, Told};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::view::operations::alert::{Alert, alerts};
use crate::view::operations::fault::{Active, DEFAULT_LASTING, Switches, active, asked};
use crate::view::operations::pool::PoolCards;
use crate::view::operations::scaling::Scaling;
use crate::view::operations::totals::Totals;
use crate::view::operations::{Decision, decisions};

/// Pages that watch at once: a connection, a stream to each process and some 100 KB each. A process takes 32 watchers.
const MAX_WATCHERS: usize = 8;
/// Without JavaScript, how often the page is loaded again, in seconds: seldom enough to fill in a form.
const REFRESH: u32 = 15;

/// The parts of the shop that the operations pages need.
pub(crate) struct OperationsParts {
    doors: Arc<Doors>,
    processes: Processes,
    scaler: Option<Decider>,
    csrf: Arc<Csrf>,
    watchers: Arc<Semaphore>,
    life: Life,
}

type Shared = State<Arc<OperationsParts>>;

impl OperationsParts {
    /// Pages about `processes` for whom `doors` lets in; what is watched ends with `life`.
    pub(crate) fn new(
        doors: Arc<Doors>,
        processes: Processes,
        scaler: Option<Decider>,
        csrf: Arc<Csrf>,
        life: Life,
    ) -> Self {
        Self { doors, processes, scaler, csrf, watchers: Arc::new(Semaphore::new(MAX_WATCHERS)), life }
    }

    /// Whether who makes a request may look: by a cookie, or by a token as programs send it. `None` if no process can be asked.
    pub(super) async fn lets_in(&self, headers: &HeaderMap) -> Option<bool> {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).filter(|token| is_token(token)).map(Arc::from);
        match sent.or_else(|| self.doors.operator(headers).map(|operator| operator.token)) {
            Some(token) => self.processes.takes(&token).await,
            None => Some(false),
        }
    }
}

/// What every page of operations has around it.
struct Surroundings {
    base: String,
    style: String,
    script: String,
    icon: String,
    csrf: String,
    is_signed_in: bool,
}

impl Surroundings {
    fn new(csrf: String, is_signed_in: bool) -> Self {
        Self {
            base: assets::address("base.css"),
            style: assets::address("ops.css"),
            script: assets::address("ops.js"),
            icon: assets::address("favicon.svg"),
            csrf,
            is_signed_in,
        }
    }
}

#[derive(Template)]
#[template(path = "ops/sign_in.html")]
struct SignInPage {
    around: Surroundings,
    alert: &'static str,
    /// The shop prints a link that opens the page.
    prints_link: bool,
}

#[derive(Template)]
#[template(path = "ops/page.html")]
struct OperationsPage {
    around: Surroundings,
    parts: Parts,
    switches: Switches,
    default_lasting: u32,
    notice: String,
    alert: String,
    refresh: u32,
}

#[derive(Template)]
#[template(path = "ops/alerts.html")]
struct AlertsPart {
    alerts: Vec<Alert>,
}

#[derive(Template)]
#[template(path = "ops/totals.html")]
struct TotalsPart {
    totals: Totals,
}

#[derive(Template)]
#[template(path = "ops/pools.html")]
struct PoolsPart {
    cards: PoolCards,
}

#[derive(Template)]
#[template(path = "ops/decisions.html")]
struct DecisionsPart {
    decisions: Vec<Decision>,
    has_operator: bool,
}

#[derive(Template)]
#[template(path = "ops/scaling.html")]
struct ScalingPart {
    /// Why nothing is shown; empty if something is.
    away: String,
    scaling: Scaling,
}

impl ScalingPart {
    /// What the operator said, for somebody whose token one of the processes has just taken, and none has refused.
    fn new(processes: &[Process], told: &Told) -> Self {
        let takes = |process: &Process| matches!(process.seen, Seen::Here(_));
        let refuses = |process: &Process| matches!(process.seen, Seen::Refused);
        let is_let_in = processes.iter().any(takes) && !processes.iter().any(refuses);
        match told {
            _ if !is_let_in => Self::away("no process has taken your token yet"),
            Told::Away(why) => Self::away(why),
            Told::Here(said) => Self { away: String::new(), scaling: Scaling::new(said) },
        }
    }

    fn away(why: &str) -> Self {
        Self { away: why.to_owned(), scaling: Scaling::default() }
    }
}

#[derive(Template)]
#[template(path = "ops/faults.html")]
struct FaultsPart {
    faults: Vec<Active>,
    csrf: String,
}

/// The part with what the operator says.
const SCALING: &str = "scaling";

/// The parts of the page that change, each sent again only when it has.
struct Parts {
    alerts: AlertsPart,
    totals: TotalsPart,
    pools: PoolsPart,
    decisions: DecisionsPart,
    faults: FaultsPart,
    /// Where there is an operator, once it has said something, or that it doesn't.
    scaling: Option<ScalingPart>,
}

impl Parts {
    fn new(processes: &[Process], has_operator: bool, told: Option<&Told>, csrf: String) -> Self {
        Self {
            alerts: AlertsPart { alerts: alerts(processes) },
            totals: TotalsPart { totals: Totals::new(processes) },
            pools: PoolsPart { cards: PoolCards::new(processes) },
            decisions: DecisionsPart { decisions: decisions(processes), has_operator },
            faults: FaultsPart { faults: active(processes), csrf },
            scaling: told.map(|told| ScalingPart::new(processes, told)),
        }
    }

    /// By the names under which the script knows them.
    fn render(&self) -> Vec<(&'static str, askama::Result<String>)> {
        let mut parts = vec![
            ("alerts", self.alerts.render()),
            ("totals", self.totals.render()),
            ("pools", self.pools.render()),
            ("decisions", self.decisions.render()),
            ("faults", self.faults.render()),
        ];
        parts.extend(self.scaling.as_ref().map(|scaling| (SCALING, scaling.render())));
        parts
    }
}

fn csrf(app: &OperationsParts, operator: &Operator) -> String {
    app.csrf.token(Some(&operator.csrf), rand::random())
}

/// A form that was sent from the operations page by somebody who may look at it.
pub(crate) struct OperatorForm {
    fields: Fields,
    operator: Operator,
}

impl<S> FromRequest<S> for OperatorForm
where
    S: Send + Sync,
    Arc<Doors>: FromRef<S>,
    Arc<Csrf>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let operator = Operator::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let fields = form::read(request, state, Some(&operator.csrf)).await.map_err(Problem::into_response)?;
        Ok(Self { fields, operator })
    }
}

/// `GET /ops`
pub(crate) async fn show(State(app): Shared, operator: Operator, Query(fields): Query) -> Page {
    let notice = match fields.get("notice") {
        "started" => "The fault has started. It ends by itself.",
        "ended" => "The fault has ended.",
        "over" => "The fault was over already.",
        _ => "",
    };
    shown(&app, &operator, notice.to_owned(), String::new()).await
}

async fn shown(app: &OperationsParts, operator: &Operator, notice: String, alert: String) -> Page {
    let asked = async {
        match &app.scaler {
            Some(scaler) => Some(scaler.look().await),
            None => None,
        }
    };
    let (processes, told) = tokio::join!(app.processes.look(&operator.token), asked);
    if processes.iter().any(|process| matches!(process.seen, Seen::Refused)) {
        return Ok(redirect_to("/ops/sign-in?notice=refused"));
    }
    let csrf = csrf(app, operator);
    Ok(page(&OperationsPage {
        around: Surroundings::new(csrf.clone(), true),
        parts: Parts::new(&processes, told.is_some(), told.as_ref(), csrf),
        switches: Switches::new(&processes),
        default_lasting: DEFAULT_LASTING,
        notice,
        alert,
        refresh: REFRESH,
    }))
}

/// What an open page learns.
enum Update {
    Processes(Vec<Process>),
    Operator(Told),
}

/// `GET /ops/events`
pub(crate) async fn events(State(app): Shared, operator: Operator) -> Page {
    let permit = app.watchers.clone().try_acquire_owned().map_err(|_| Problem::busy())?;
    let token = csrf(&app, &operator);
    let of_processes = app.processes.watch(&operator.token, &app.life).map(Update::Processes);
    let of_operator = match app.scaler.clone() {
        Some(scaler) => scaler.watch(app.life.clone()).map(Update::Operator).boxed(),
        None => stream::empty().boxed(),
    };
    let has_operator = app.scaler.is_some();
    let mut updates = Box::pin(stream::select(of_processes, of_operator));
    let stream = async_stream::stream! {
        let _permit = permit;
        let ends = Instant::now() + live::STREAM_BOUND;
        let mut shown: BTreeMap<&'static str, String> = BTreeMap::new();
        let (mut processes, mut told) = (Vec::new(), None);
        while let Ok(Some(update)) = tokio::time::timeout_at(ends, updates.next()).await {
            let parts = match update {
                Update::Processes(seen) => {
                    processes = seen;
                    Parts::new(&processes, has_operator, told.as_ref(), token.clone()).render()
                }
                Update::Operator(said) => {
                    let part = ScalingPart::new(&processes, &said).render();
                    told = Some(said);
                    // Before any process has said a word, nobody knows who may see it.
                    if processes.is_empty() { Vec::new() } else { vec![(SCALING, part)] }
                }
            };
            for (name, part) in parts {
                if let Ok(part) = part && shown.get(name) != Some(&part) {
                    let event = live::event(name, &part);
                    shown.insert(name, part);
                    yield Ok::<_, Infallible>(event);
                }
            }
        }
    };
    Ok(live::answer(stream))
}

/// `GET /ops/sign-in`
pub(crate) async fn sign_in(State(app): Shared, visitor: Visitor, Query(fields): Query) -> Page {
    let alert = match fields.get("notice") {
        "used" => {
            "That link was opened before, or is of an earlier start of the shop: each opens this page once. Sign in with a token."
        }
        "refused" => "That token isn't taken any more, or isn't one for operations: sign in again.",
        _ => "",
    };
    Ok(sign_in_page(&app, visitor.subject(), alert))
}

/// `GET /ops/open`: the link that the shop printed at its start.
pub(crate) async fn open(State(app): Shared, method: Method, headers: HeaderMap, Query(fields): Query) -> Page {
    // HEAD, by which programs look at links before people do, doesn't open it.
    if method == Method::GET
        && let Some(cookie) = app.doors.open(fields.get("key"))
    {
        let mut response = redirect_to("/ops");
        response.headers_mut().append(header::SET_COOKIE, cookie);
        return Ok(response);
    }
    // A browser that fetched the page ahead, or in which the link is opened again, is in.
    let is_in = app.doors.operator(&headers).is_some();
    Ok(redirect_to(if is_in { "/ops" } else { "/ops/sign-in?notice=used" }))
}

fn sign_in_page(app: &OperationsParts, subject: Option<&str>, alert: &'static str) -> Response {
    let csrf = app.csrf.token(subject, rand::random());
    page(&SignInPage { around: Surroundings::new(csrf, false), alert, prints_link: app.doors.prints_link() })
}

/// Whether it looks like a token at all.
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `POST /ops/sign-in`
pub(crate) async fn enter(State(app): Shared, form: Form) -> Page {
    let token = form.fields.get("token");
    let alert = if !is_token(token) {
        "That is no token. One is a line of letters that begins with v4.public."
    } else {
        match app.processes.takes(token).await {
            Some(true) => {
                let mut response = redirect_to("/ops");
                response.headers_mut().append(header::SET_COOKIE, app.doors.cookie(token));
                return Ok(response);
            }
            Some(false) => "That token isn't taken: it has expired, or isn't one for operations.",
            None => "No process of the shop answers now, so the token can't be checked. Try again.",
        }
    };
    Ok(sign_in_page(&app, form.visitor.subject(), alert))
}

/// `POST /ops/sign-out`
pub(crate) async fn leave(State(app): Shared, _form: OperatorForm) -> Page {
    let mut response = redirect_to("/ops/sign-in");
    for cookie in app.doors.farewell() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /ops/faults`
pub(crate) async fn start(State(app): Shared, OperatorForm { fields, operator }: OperatorForm) -> Page {
    let wrong = match asked(&fields) {
        Ok((process, request)) => match together(&app.processes.start(&process, &operator.token, request).await) {
            Ok(()) => return Ok(redirect_to("/ops?notice=started#faults")),
            Err(wrong) => wrong,
        },
        Err(wrong) => wrong,
    };
    shown(&app, &operator, String::new(), format!("The fault wasn't started: {wrong}.")).await
}

/// `POST /ops/faults/end`
pub(crate) async fn end(State(app): Shared, OperatorForm { fields, operator }: OperatorForm) -> Page {
    let answers = app.processes.end(fields.get("process"), &operator.token, fields.get("fault")).await;
    // A service that had one instance when the page was made may have several: the others say that it isn't theirs.
    if answers.iter().any(|(_, answer)| answer.is_ok()) {
        return Ok(redirect_to("/ops?notice=ended#faults"));
    }
    let is_over = |status: &tonic::Status| {
        status.code() == Code::NotFound || selvage_status::reason(status).as_deref() == Some("OTHER_PROCESS")
    };
    match answers.iter().find_map(|(_, answer)| answer.as_ref().err().filter(|status| !is_over(status))) {
        None => Ok(redirect_to("/ops?notice=over#faults")),
        Some(status) => {
            let wrong = in_words(status);
            shown(&app, &operator, String::new(), format!("The fault wasn't ended: {wrong}.")).await
        }
    }
}

/// What came of it in all the processes that were asked: why those didn't that did not.
fn together<T>(answers: &Answers<T>) -> Result<(), String> {
    let failed = answers.iter().filter_map(|(address, answer)| Some((address, answer.as_ref().err()?)));
    let failed: Vec<_> = failed.collect();
    match (failed.as_slice(), answers.len()) {
        ([], _) => Ok(()),
        ([(_, status)], 1) => Err(in_words(status)),
        (failed, all) => {
            let each: Vec<_> = failed.iter().map(|(address, why)| format!("at {address}: {}", in_words(why))).collect();
            Err(format!("in {} of {all} instances, {}", failed.len(), each.join("; ")))
        }
    }
}

/// Why a process did not, for who runs it.
fn in_words(status: &tonic::Status) -> String {
    let fields = selvage_status::field_violations(status);
    let fields: Vec<_> = fields.iter().map(|(field, wrong)| format!("{} {wrong}", field.replace('_', " "))).collect();
    if fields.is_empty() { status.message().to_owned() } else { fields.join("; ") }
}
