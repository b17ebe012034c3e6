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
use crate::view::checkout::form::{CARDS, CheckoutForm};
use crate::view::checkout::offers::Offers;
use crate::view::checkout::refusal::{Outcome, Refusal, outcome};
use crate::view::checkout::wrong::WrongFields;
use crate::view::countries::COUNTRIES;

/// The country that the form begins with: most parcels go there.
const HOME_COUNTRY: &str = "DE";
/// How often a page asks by itself whether the order was placed. With pauses of 2 s and calls of up to 25 s that is
/// longer than the sweep needs to settle any order that was interrupted; beyond it there is the button.
const MAX_ATTEMPTS: u32 = 20;

#[derive(Template)]
#[template(path = "checkout.html")]
struct CheckoutPage {
    frame: Frame,
    form: CheckoutForm,
    offers: Offers,
    wrong: WrongFields,
    alert: &'static str,
    /// What can't be had, in words.
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
    // Of a link nothing else is taken: whoever made it would choose where the parcel goes.
    let form = CheckoutForm {
        country: country.chars().take(2).collect::<String>().to_uppercase(),
        card: CARDS[0].0,
        ..CheckoutForm::parse(&Fields::default())
    };
    form_page(&shop, &frames, &visitor, &session, form, Refusal::default()).await
}

/// `POST /checkout`: shows the form for another country, or places the order.
pub(crate) async fn place(State(shop): State<Shop>, State(frames): State<Frames>, posted: Form) -> Page {
    let Form { fields, visitor } = posted;
    let Some(session) = visitor.session.clone() else { return Ok(redirect_to("/bag")) };
    let form = CheckoutForm::parse(&fields);
    if fields.get("do") == "update" {
        return form_page(&shop, &frames, &visitor, &session, form, Refusal::default()).await;
    }
    let wrong = form.wrong();
    if !wrong.is_empty() {
        let refusal = Refusal { alert: "Some of the form isn't filled in yet.", wrong, ..Refusal::default() };
        return form_page(&shop, &frames, &visitor, &session, form, refusal).await;
    }
    match shop.place(&session.token, form.request()).await {
        Ok(order) => Ok(redirect_to(&format!("/orders/{}?placed=1", order.order_id))),
        Err(status) => match outcome(&status) {
            Outcome::Unknown => placing(&frames, &visitor, &form, &fields, &status).await,
            Outcome::Refused(refusal) => form_page(&shop, &frames, &visitor, &session, form, refusal).await,
        },
    }
}

/// The form, refilled, with what the order costs now, a key of its own, and above it why the last one was refused.
async fn form_page(
    shop: &Shop,
    frames: &Frames,
    visitor: &Visitor,
    session: &Session,
    form: CheckoutForm,
    mut refusal: Refusal,
) -> Page {
    // A refused order has used up some of the request's time; each of these calls ends with what is left of it.
    let token = &session.token;
    let (frame, cart, standard, express) = tokio::join!(
        frames.with_categories(visitor, "Checkout"),
        shop.bag(token),
        shop.preview(token, &form.country, Speed::Standard),
        shop.preview(token, &form.country, Speed::Express),
    );
    let cart = cart?;
    let bag = BagView::new(&cart)?;
    if refusal.alert.is_empty() && !bag.can_be_ordered {
        return Ok(redirect_to(if bag.lines.is_empty() { "/bag" } else { "/bag?notice=look" }));
    }
    let mut previews = Vec::new();
    for (speed, preview) in [(Speed::Standard, standard), (Speed::Express, express)] {
        match preview {
            Ok(preview) => previews.push((speed, preview)),
            // Where there is no express delivery, the page doesn't offer it, and says nothing of it.
            Err(_) if speed == Speed::Express => {}
            Err(status) => explain(&mut refusal, status)?,
        }
    }
    let named = |(sku, why): &(String, String)| {
        let line = bag.lines.iter().find(|line| line.sku == *sku);
        line.map_or_else(|| format!("{sku}: {why}"), |line| format!("{}, {}: {why}", line.title, line.variant))
    };
    let form = CheckoutForm { key: Uuid::new_v4().to_string(), ..form };
    Ok(page(&CheckoutPage {
        frame: Frame { bag_count: Some(bag.count), ..frame },
        offers: Offers::new(&previews, form.speed)?,
        short: refusal.short.iter().map(named).collect(),
        alert: refusal.alert,
        wrong: refusal.wrong,
        to_bag: refusal.to_bag,
        to_orders: refusal.to_orders,
        form,
        countries: COUNTRIES,
        cards: CARDS,
    }))
}

/// Puts why there is no preview above the form, unless something stands there already.
fn explain(refusal: &mut Refusal, status: Status) -> Result<(), Problem> {
    match outcome(&status) {
        Outcome::Unknown => Err(status.into()),
        Outcome::Refused(found) => {
            if refusal.alert.is_empty() {
                *refusal = Refusal { short: Vec::new(), to_orders: false, ..found };
            }
            Ok(())
        }
    }
}

/// The page that sends the same form again, with the same key, until it is known whether the order is placed.
async fn placing(frames: &Frames, visitor: &Visitor, form: &CheckoutForm, fields: &Fields, status: &Status) -> Page {
    tracing::info!(code = ?status.code(), "an order's outcome isn't known yet");
    let attempt = fields.get("attempt").parse().unwrap_or(0).min(MAX_ATTEMPTS) + 1;
    let frame = frames.with_categories(visitor, "We're placing your order").await;
    Ok(page(&PlacingPage { frame, fields: form.fields(), attempt, by_itself: attempt <= MAX_ATTEMPTS }))
}
