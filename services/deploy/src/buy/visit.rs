//! A visit to the shop, from the shelf to the confirmed order.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use super::browser::{Browser, Shown};
use super::page::Form;

/// Pages on which something to buy is looked for: the home page's products and three shelves of two dozen.
const MAX_LOOKS: usize = 100;
/// How often an order is looked at that isn't confirmed yet, and one that is still being placed asked for again.
const AGAIN: Duration = Duration::from_secs(1);

const NOTHING: &str =
    ": the shop shows none. Is the catalogue stocked? `selvage-deploy stock` gives it the default products";

/// What is typed into the form; its other fields stay as the shop has filled them in.
const TYPED: [(&str, &str); 4] =
    [("recipient", "Ada Muster"), ("line1", "Ringstraße 1"), ("postal_code", "04109"), ("city", "Leipzig")];

/// Somebody at the shop.
pub(super) struct Visit {
    browser: Browser,
    email: String,
    step: &'static str,
    /// What the visitor waits for, as a sentence goes on.
    note: &'static str,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Bought {
    pub(super) product: String,
    /// The order's number, as people see it.
    pub(super) number: String,
    /// The trace of placing it, if it was traced.
    pub(super) trace: Option<String>,
}

impl Visit {
    pub(super) fn new(browser: Browser, email: String) -> Self {
        Self { browser, email, step: "look at the home page", note: "" }
    }

    /// What is being done, as "couldn't …" goes on.
    pub(super) fn step(&self) -> &'static str {
        self.step
    }

    /// Why it takes so long, if that is known, as a sentence goes on.
    pub(super) fn note(&self) -> &'static str {
        self.note
    }

    /// Buys one piece of the first product that can be bought.
    pub(super) async fn buy(&mut self) -> anyhow::Result<Bought> {
        let mut home = self.browser.look("/").await?;
        self.step = "find a product that can be bought";
        let (product, form) = loop {
            if let Some(chosen) = self.choose(&home).await? {
                break chosen;
            }
            // The home page is up to half a minute old.
            self.note = NOTHING;
            sleep(AGAIN).await;
            home = self.browser.look("/").await?;
        };
        self.note = "";
        self.step = "put it into the bag";
        let added = self.browser.send(&form, None).await?;
        ensure!(added.at.contains("notice=added"), "the shop says: {}", added.page.says());
        self.step = "go to the checkout";
        let checkout = self.browser.look("/checkout").await?;
        let form = checkout.page.form("/checkout").with_context(|| instead("the form", &checkout))?.clone();
        let form = TYPED.iter().fold(form, |form, (name, value)| form.with(name, value)).with("email", &self.email);
        self.step = "place the order";
        let placed = self.place(form).await?;
        let number = placed.page.heading.strip_prefix("Order ").with_context(|| instead("the order", &placed))?;
        let (number, trace) = (number.to_owned(), placed.trace);
        self.step = "see the order confirmed";
        self.confirmed(&placed.at, &number).await?;
        Ok(Bought { product, number, trace })
    }

    /// The name of a product, and the form that puts a piece of it into the bag; `None` if there is nothing on these shelves.
    async fn choose(&mut self, home: &Shown) -> anyhow::Result<Option<(String, Form)>> {
        let owned = |links: Vec<&str>| links.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
        let mut products = owned(home.page.links_to("/p/"));
        let mut shelves = owned(home.page.links_to("/c/"));
        shelves.reverse();
        products.reverse();
        for _ in 0..MAX_LOOKS {
            if let Some(at) = products.pop() {
                let product = self.browser.look(&at).await?;
                let form = product.page.form("/bag/items");
                let sku = form.and_then(|form| form.choices.get("sku")?.first().cloned());
                // Without the field there is nothing to press: all of it is sold out.
                if let (Some(form), Some(sku)) = (form.filter(|form| form.has("quantity")), sku) {
                    return Ok(Some((product.page.heading.clone(), form.clone().with("sku", &sku))));
                }
            } else if let Some(at) = shelves.pop() {
                products = owned(self.browser.look(&format!("{at}?stock=1")).await?.page.links_to("/p/"));
            } else {
                break;
            }
        }
        Ok(None)
    }

    /// Sends the form until it is known what came of it.
    async fn place(&mut self, mut form: Form) -> anyhow::Result<Shown> {
        loop {
            let shown = self.browser.send(&form, Some(("do", "place"))).await?;
            if shown.at.starts_with("/orders/") {
                return Ok(shown);
            }
            // The page that has the form again with what was sent: the shop doesn't know yet.
            match shown.page.form("/checkout") {
                Some(again) if again.has("attempt") => form = again.clone(),
                _ => bail!("the shop says: {}", shown.page.says()),
            }
            sleep(AGAIN).await;
        }
    }

    /// Waits until the list of orders says that it is confirmed.
    async fn confirmed(&mut self, order: &str, number: &str) -> anyhow::Result<()> {
        let order = order.split('?').next().unwrap_or_default();
        loop {
            let orders = self.browser.look("/orders").await?;
            let row = orders.page.links.iter().find(|(at, _)| at == order);
            let (_, row) = row.with_context(|| format!("the order {number} isn't among the visitor's orders"))?;
            if row.contains("Confirmed") {
                return Ok(());
            }
            ensure!(row.contains("Being placed"), "the shop says of it: {row}");
            sleep(AGAIN).await;
        }
    }
}

fn instead(what: &str, shown: &Shown) -> String {
    format!("instead of {what} the shop shows {}: {}", shown.at, shown.page.says())
}
