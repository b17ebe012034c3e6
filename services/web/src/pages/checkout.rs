//! Placing an order, on one page.

use askama::Template;
use axum::extract::State;
use selvage_proto::delivery::v1::Speed;
use tonic::Status;
use uuid::Uuid;

use super::form::Form;
use super::query::Query;
use super::{Page, redirect_to};
use crate::fields::Fields;
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::{Session, Visitor};
use crate::shop::Shop;
use crate::view::bag::BagView;
use crate::view::checkout::{CARDS, CheckoutForm, Costs, Refused, Wrong, refused};
use crate::view::countries::COUNTRIES;

/// Where most parcels go.
const HOME_COUNTRY: &str = "DE";
/// How often a page asks by itself whether the order was placed. With pauses of 2 s and calls of up to 25 s that is
/// longer than the sweep needs to settle any order that was interrupted; beyond it there is the button.
const MAX_ATTEMPTS: u32 = 20;

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage {
    frame: Frame,
    form: CheckoutForm,
    costs: Costs,
    wrong: Wrong,
    alert: &'static str,
    /// What couldn't be had, in words.
    short: Vec<String>,
    to_bag: bool,
    to_orders: bool,
    countries: [(&'static str, &'static str); 31],
    cards: [(&'static str, &'static str, &'static str); 4],
}

#[derive(Template)]
#[template(path = "placing.html")]
struct PlacingPage {
    frame: Frame,
    fields: Vec<(String, String)>,
    attempt: u32,
    by_itself: bool,
}

/// What is said above the form.
#[derive(Default)]
struct Said {
    alert: &'static str,
    wrong: Wrong,
    short: Vec<(String, String)>,
    to_bag: bool,
    to_orders: bool,
}

/// `GET /checkout`
pub(crate) async fn show(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    visitor: Visitor,
    Query(fields): Query,
) -> Page {
    let Some(session) = visitor.session.clone() else { return Ok(redirect_to("/bag")) };
    let country = match fields.get("country") {
        "" => HOME_COUNTRY,
        country => country,
    };
    let form = CheckoutForm {
        country: country.chars().take(2).collect::<String>().to_uppercase(),
        card: CARDS[0].0,
        ..CheckoutForm::parse(&fields)
    };
    form_page(&shop, &frames, &visitor, &session, form, Said::default()).await
}

/// `POST /checkout`: shows the form for another country, or places the order.
pub(crate) async fn place(State(shop): State<Shop>, State(frames): State<Frames>, posted: Form) -> Page {
    let Form { fields, visitor } = posted;
    let Some(session) = visitor.session.clone() else { return Ok(redirect_to("/bag")) };
    let form = CheckoutForm::parse(&fields);
    if fields.get("do") == "update" {
        return form_page(&shop, &frames, &visitor, &session, form, Said::default()).await;
    }
    let wrong = form.wrong();
    if !wrong.is_empty() {
        let said = Said { alert: "Some of the form isn't filled in yet.", wrong, ..Said::default() };
        return form_page(&shop, &frames, &visitor, &session, form, said).await;
    }
    match shop.place(&session.token, form.request()).await {
        Ok(order) => Ok(redirect_to(&format!("/orders/{}?placed=1", order.order_id))),
        Err(status) => match refused(&status) {
            Refused::Pending => placing(&frames, &visitor, &form, &fields, &status).await,
            Refused::Shown { alert, wrong, short, to_bag, to_orders } => {
                let said = Said { alert, wrong, short, to_bag, to_orders };
                form_page(&shop, &frames, &visitor, &session, form, said).await
            }
        },
    }
}

/// The form, refilled, with what the order costs now and a key of its own.
async fn form_page(
    shop: &Shop,
    frames: &Frames,
    visitor: &Visitor,
    session: &Session,
    form: CheckoutForm,
    said: Said,
) -> Page {
    // Refused orders took their time, and the form may ask for more than is left of it; the calls bound themselves.
    let token = &session.token;
    let (frame, cart, standard, express) = tokio::join!(
        frames.with_categories(visitor, "Checkout"),
        shop.bag(token),
        shop.preview(token, &form.country, Speed::Standard),
        shop.preview(token, &form.country, Speed::Express),
    );
    let cart = cart?;
    let bag = BagView::new(&cart);
    if said.alert.is_empty() && !bag.can_be_ordered {
        return Ok(redirect_to(if bag.lines.is_empty() { "/bag" } else { "/bag?notice=look" }));
    }
    let mut said = said;
    let mut previews = Vec::new();
    for (speed, preview) in [(Speed::Standard, standard), (Speed::Express, express)] {
        match preview {
            Ok(preview) => previews.push((speed, preview)),
            // That there is no express delivery is nothing to speak of.
            Err(_) if speed == Speed::Express => {}
            Err(status) => explain(&mut said, status)?,
        }
    }
    let named = |(sku, why): &(String, String)| {
        let line = bag.lines.iter().find(|line| line.sku == *sku);
        line.map_or_else(|| format!("{sku}: {why}"), |line| format!("{}, {}: {why}", line.title, line.variant))
    };
    let form = CheckoutForm { key: Uuid::new_v4().to_string(), ..form };
    Ok(page(&CheckoutPage {
        frame: Frame { bag_count: Some(bag.count), ..frame },
        costs: Costs::new(&previews, form.speed),
        short: said.short.iter().map(named).collect(),
        alert: said.alert,
        wrong: said.wrong,
        to_bag: said.to_bag,
        to_orders: said.to_orders,
        form,
        countries: COUNTRIES,
        cards: CARDS,
    }))
}

/// Says why there is no preview, unless something was said already.
fn explain(said: &mut Said, status: Status) -> Result<(), Problem> {
    match refused(&status) {
        Refused::Pending => Err(status.into()),
        Refused::Shown { alert, wrong, to_bag, .. } => {
            if said.alert.is_empty() {
                *said = Said { alert, wrong, to_bag, ..Said::default() };
            }
            Ok(())
        }
    }
}

/// The page that sends the same form again, with the same key, until the order's fate is known.
async fn placing(frames: &Frames, visitor: &Visitor, form: &CheckoutForm, fields: &Fields, status: &Status) -> Page {
    tracing::info!(code = ?status.code(), "an order's outcome isn't known yet");
    let attempt = fields.get("attempt").parse().unwrap_or(0).min(MAX_ATTEMPTS) + 1;
    let frame = frames.with_categories(visitor, "We're placing your order").await;
    Ok(page(&PlacingPage { frame, fields: form.again(), attempt, by_itself: attempt <= MAX_ATTEMPTS }))
}
