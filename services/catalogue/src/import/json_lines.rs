//! One product a line, as JSON.

use std::io::{self, BufRead, Read as _};
use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::derive::{self, Hints};
use super::finish::{Seen, finish};
use super::{ImportError, Item, MAX_FIELD, MAX_ROW, Problem};
use crate::domain::product::{Audience, MAX_VARIANTS, Picture, Product, Variant};

/// A variant's fields that are derived once its product's texts are known.
const ONE_SIZE: &str = "One size";

pub(super) fn parse(
    mut feed: impl BufRead,
    currency: &str,
    take: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), ImportError> {
    let mut seen = Seen::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = feed.by_ref().take(MAX_ROW as u64 + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        let is_whole = line.len() <= MAX_ROW;
        if !is_whole {
            skip_line(&mut feed)?;
        }
        let text = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        if is_whole && text.trim_ascii().is_empty() {
            continue;
        }
        if take(Item::Row).is_break() {
            return Ok(());
        }
        let item = if is_whole {
            product(text, number, currency, &mut seen)?
        } else {
            Item::Failed(Problem::new(number, "", "the line is longer than 1 MiB"))
        };
        if take(item).is_break() {
            return Ok(());
        }
    }
}

fn skip_line(feed: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = feed.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        feed.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn product(text: &[u8], line: u64, currency: &str, seen: &mut Seen) -> Result<Item, ImportError> {
    let object = match serde_json::from_slice::<Map<String, Value>>(text) {
        Ok(object) => Object { object, at: String::new() },
        Err(error) => return Ok(Item::Failed(Problem::new(line, "", format!("is not a JSON object: {error}")))),
    };
    let (product, title) = match read(&object, currency) {
        Ok(read) => read,
        Err((field, reason)) => return Ok(Item::Failed(Problem::new(line, field, reason))),
    };
    if !product.slug.is_empty() && !seen.add(&product.slug)? {
        return Ok(Item::Failed(Problem::new(line, "slug", "is of a product above")));
    }
    Ok(finish(product, title, |_| line, |field| field))
}

/// A field and what is wrong with it.
type Wrong = (String, String);

/// The product and its category's title.
fn read(object: &Object, currency: &str) -> Result<(Product, String), Wrong> {
    let slug = object.required("slug")?;
    let title = object.required("title")?;
    let description_html = object.text("description_html")?;
    let tags = object.texts("tags")?;
    let category = object.text("category")?;
    let hints = Hints::new(&title, &category, &tags, &description_html);
    let mut variants = Vec::new();
    // One more than a product may have, so that the check finds it too long.
    for variant in object.objects("variants")?.iter().take(MAX_VARIANTS + 1) {
        variants.push(read_variant(variant, currency, &hints)?);
    }
    let main = variants.first().map(|variant| variant.colour_hex.clone()).unwrap_or_default();
    let picture = match object.object("picture")? {
        None => hints.picture(&main),
        Some(picture) => Picture {
            garment: picture.text("garment")?,
            cut: picture.text("cut")?,
            pattern: picture.text("pattern")?,
            accent: picture.text("accent")?,
        },
    };
    let (category, category_title) = if category.is_empty() { hints.category("") } else { derive::ours(&category) };
    let product = Product {
        slug,
        title,
        description_html,
        category,
        audience: audience(object, &hints)?,
        material: object.text("material")?,
        care: object.text("care")?,
        tags,
        image_urls: object.texts("image_urls")?,
        picture,
        variants,
    };
    Ok((product, category_title))
}

fn audience(object: &Object, hints: &Hints) -> Result<Audience, Wrong> {
    match object.text("audience")?.as_str() {
        "" | "AUDIENCE_UNSPECIFIED" => Ok(hints.audience("")),
        "everyone" | "AUDIENCE_EVERYONE" => Ok(Audience::Everyone),
        "women" | "AUDIENCE_WOMEN" => Ok(Audience::Women),
        "men" | "AUDIENCE_MEN" => Ok(Audience::Men),
        _ => Err(object.wrong("audience", "must be everyone, women or men")),
    }
}

fn read_variant(object: &Object, currency: &str, hints: &Hints) -> Result<Variant, Wrong> {
    let or = |text: String, other: &dyn Fn() -> String| if text.is_empty() { other() } else { text };
    let colour = or(object.text("colour")?, &|| hints.colour());
    let price = money(object, "price", currency)?.ok_or_else(|| object.wrong("price", "is missing"))?;
    Ok(Variant {
        sku: object.required("sku")?,
        size: or(object.text("size")?, &|| ONE_SIZE.into()),
        colour_hex: or(object.text("colour_hex")?, &|| derive::hex(&colour)),
        colour,
        price,
        compare_at: money(object, "compare_at_price", currency)?,
        grams: object.number("grams")?,
        stock: object.number("initial_stock")?,
    })
}

fn money(object: &Object, field: &str, currency: &str) -> Result<Option<i64>, Wrong> {
    let Some(money) = object.object(field)? else { return Ok(None) };
    if money.text("currency")? != currency {
        return Err(money.wrong("currency", &format!("must be the shop's, {currency}")));
    }
    match money.object.get("minor_units") {
        Some(_) => money.number("minor_units").map(Some),
        None => Err(money.wrong("minor_units", "is missing")),
    }
}

/// A JSON object, and where in the line it is. `null` counts as missing.
struct Object {
    object: Map<String, Value>,
    at: String,
}

impl Object {
    fn get(&self, field: &str) -> Option<&Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn path(&self, field: &str) -> String {
        if self.at.is_empty() { field.to_owned() } else { format!("{}.{field}", self.at) }
    }

    fn wrong(&self, field: &str, reason: &str) -> Wrong {
        (self.path(field), reason.to_owned())
    }

    fn required(&self, field: &str) -> Result<String, Wrong> {
        let text = self.text(field)?;
        if text.is_empty() { Err(self.wrong(field, "is missing")) } else { Ok(text) }
    }

    /// A text; empty if it is missing.
    fn text(&self, field: &str) -> Result<String, Wrong> {
        match self.get(field) {
            None => Ok(String::new()),
            Some(Value::String(text)) if text.len() <= MAX_FIELD => Ok(text.clone()),
            Some(Value::String(_)) => Err(self.wrong(field, "is longer than 64 KiB")),
            Some(_) => Err(self.wrong(field, "must be a string")),
        }
    }

    fn texts(&self, field: &str) -> Result<Vec<String>, Wrong> {
        let text =
            |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| self.wrong(field, "must be strings"));
        self.array(field)?.iter().map(text).collect()
    }

    /// A whole number, or one in a string; 0 if it is missing.
    fn number<N: TryFrom<i64> + Default>(&self, field: &str) -> Result<N, Wrong> {
        let Some(value) = self.get(field) else { return Ok(N::default()) };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        number.and_then(|number| N::try_from(number).ok()).ok_or_else(|| self.wrong(field, "must be a whole number"))
    }

    fn array(&self, field: &str) -> Result<&[Value], Wrong> {
        match self.get(field) {
            None => Ok(&[]),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => Err(self.wrong(field, "must be an array")),
        }
    }

    fn object(&self, field: &str) -> Result<Option<Self>, Wrong> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self { object: object.clone(), at: self.path(field) })),
            Some(_) => Err(self.wrong(field, "must be an object")),
        }
    }

    fn objects(&self, field: &str) -> Result<Vec<Self>, Wrong> {
        let object = |(index, value): (usize, &Value)| match value {
            Value::Object(object) => Ok(Self { object: object.clone(), at: format!("{}[{index}]", self.path(field)) }),
            _ => Err(self.wrong(field, "must be objects")),
        };
        self.array(field)?.iter().enumerate().map(object).collect()
    }
}
