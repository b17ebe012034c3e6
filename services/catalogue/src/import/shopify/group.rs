use std::collections::HashMap;

use super::columns::{Column, OPTIONS};
use super::row::{Row, RowVariant};
use crate::domain::product::{MAX_IMAGES, MAX_TAGS, MAX_VARIANTS, Product, Variant, is_image_url};
use crate::import::derive::{self, Hints};
use crate::import::finish::finish;
use crate::import::{Item, Problem, name};

const MAX_TEXT: usize = 60;

/// The rows of one handle.
pub(super) struct Group {
    slug: String,
    first_line: u64,
    title: String,
    body: String,
    kind: String,
    tags: Vec<String>,
    gender: String,
    is_hidden: bool,
    /// What is wrong with the product's own fields.
    spoiled: Option<Problem>,
    options: [String; 3],
    /// With the position that the feed gives them.
    images: Vec<(u32, String)>,
    variants: Vec<RowVariant>,
}

/// What an option of a product is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Size,
    Colour,
    /// Whatever else customers choose by: it is told with the size.
    Other,
}

impl Group {
    pub(super) fn new(slug: String, first_line: u64) -> Self {
        Self {
            slug,
            first_line,
            title: String::new(),
            body: String::new(),
            kind: String::new(),
            tags: Vec::new(),
            gender: String::new(),
            is_hidden: false,
            spoiled: None,
            options: [const { String::new() }; 3],
            images: Vec::new(),
            variants: Vec::new(),
        }
    }

    pub(super) fn slug(&self) -> &str {
        &self.slug
    }

    /// Memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.slug, &self.title, &self.body, &self.kind].map(String::len);
        let images: usize = self.images.iter().map(|(_, url)| url.len() + 32).sum();
        // A variant's own texts are short: options, SKU.
        texts.iter().sum::<usize>() + images + self.tags.len() * MAX_TEXT + self.variants.len() * 300 + 500
    }

    /// Adds a row; returns what is wrong with it. A row's variant is left out if anything about it is wrong.
    pub(super) fn add(&mut self, row: &Row<'_>, currency: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Err(problem) = self.add_fields(row) {
            if self.title.is_empty() {
                self.spoiled.get_or_insert(problem);
            } else {
                problems.push(problem);
            }
            return problems;
        }
        if let Err(problem) = self.add_images(row) {
            problems.push(problem);
        }
        match row.variant(currency) {
            Ok(None) => {}
            Ok(Some(_)) if self.variants.len() == MAX_VARIANTS => {
                problems.push(row.problem(Column::Handle, format!("a product has at most {MAX_VARIANTS} variants")));
            }
            Ok(Some(variant)) => self.variants.push(variant),
            Err(problem) => problems.push(problem),
        }
        problems
    }

    /// Takes the product's fields from the first row that has them.
    fn add_fields(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        let title = row.line_of(Column::Title)?;
        if !self.title.is_empty() && !title.is_empty() && title != self.title {
            let reason = format!("its handle is of another product, '{}', on line {}", self.title, self.first_line);
            return Err(row.problem(Column::Title, reason));
        }
        let body = row.text(Column::Body)?;
        let kind = row.line_of(Column::Type)?;
        let tags = row.line_of(Column::Tags)?;
        let gender = row.line_of(Column::Gender)?;
        let is_hidden = is_no(row.text(Column::Published)?)
            || ["draft", "archived"]
                .iter()
                .any(|state| row.text(Column::Status).is_ok_and(|text| text.eq_ignore_ascii_case(state)));
        for ((column, _), known) in OPTIONS.iter().zip(&mut self.options) {
            keep_first(known, row.line_of(*column)?);
        }
        keep_first(&mut self.title, title);
        keep_first(&mut self.kind, kind);
        keep_first(&mut self.gender, gender);
        self.is_hidden |= is_hidden;
        if self.body.is_empty() {
            self.body.push_str(body);
        }
        if self.tags.is_empty() {
            let right = |tag: &&str| (1..=MAX_TEXT).contains(&tag.chars().count());
            self.tags = tags.split(',').map(str::trim).filter(right).take(MAX_TAGS).map(str::to_owned).collect();
        }
        Ok(())
    }

    fn add_images(&mut self, row: &Row<'_>) -> Result<(), Problem> {
        for column in [Column::Image, Column::VariantImage] {
            let url = row.text(column)?;
            if url.is_empty() || self.images.len() == MAX_IMAGES || self.images.iter().any(|(_, known)| known == url) {
                continue;
            }
            if !is_image_url(url) {
                return Err(row.problem(column, "must be an https:// address; the image is left out"));
            }
            let position = row.text(Column::ImagePosition)?.parse().ok().filter(|_| column == Column::Image);
            self.images.push((position.unwrap_or(u32::MAX), url.to_owned()));
        }
        Ok(())
    }

    /// The product, or why there is none. What is wrong with single variants is handed over before.
    pub(super) fn into_item(mut self, take: &mut dyn FnMut(Item) -> std::ops::ControlFlow<()>) -> Item {
        if self.is_hidden {
            return Item::Hidden;
        }
        if let Some(problem) = self.spoiled {
            return Item::Failed(problem);
        }
        if self.title.is_empty() {
            return Item::Failed(Problem::new(self.first_line, Column::Title.name(), "is missing"));
        }
        let hints = Hints::new(&self.title, &self.kind, &self.tags, &self.body);
        let rows = std::mem::take(&mut self.variants);
        let mut lines = Vec::new();
        let mut variants: Vec<Variant> = Vec::new();
        let (mut skus, mut looks) = (HashMap::new(), HashMap::new());
        for row in rows {
            let line = row.line;
            match self.variant(row, &hints) {
                Ok(variant) => {
                    let look = (variant.size.clone(), variant.colour.clone());
                    let before = skus.get(&variant.sku).map(|line| (Column::Sku, "SKU", *line));
                    match before.or_else(|| looks.get(&look).map(|line| (Column::Option1Value, "options", *line))) {
                        Some((column, what, before)) => {
                            let reason = format!("has the {what} of line {before} again");
                            let _ = take(Item::Problem(Problem::new(line, column.name(), reason)));
                        }
                        None => {
                            skus.insert(variant.sku.clone(), line);
                            looks.insert(look, line);
                            lines.push(line);
                            variants.push(variant);
                        }
                    }
                }
                Err(problem) => drop(take(Item::Problem(problem))),
            }
        }
        if variants.is_empty() {
            return Item::Failed(Problem::new(
                self.first_line,
                Column::Price.name(),
                "no row has a variant that can be sold",
            ));
        }
        self.images.sort_by_key(|(position, _)| *position);
        let (category, category_title) = hints.category(&self.kind);
        let product = Product {
            category,
            audience: hints.audience(&self.gender),
            material: hints.material(&self.body),
            picture: hints.picture(&variants[0].colour_hex),
            slug: self.slug,
            title: self.title,
            description_html: self.body,
            care: String::new(),
            tags: self.tags,
            image_urls: self.images.into_iter().map(|(_, url)| url).collect(),
            variants,
        };
        let line_of =
            |variant: Option<usize>| variant.and_then(|index| lines.get(index).copied()).unwrap_or(self.first_line);
        finish(product, category_title, line_of, column_of)
    }

    fn variant(&self, row: RowVariant, hints: &Hints) -> Result<Variant, Problem> {
        let (mut sizes, mut colour) = (Vec::new(), None);
        let mut options = Vec::new();
        for (name, value) in self.options.iter().zip(&row.values) {
            if value.is_empty() || (name.eq_ignore_ascii_case("Title") && value.eq_ignore_ascii_case("Default Title")) {
                continue;
            }
            options.push(value.as_str());
            match role(name) {
                Role::Size => sizes.insert(0, value.as_str()),
                Role::Colour if colour.is_none() => colour = Some(value.clone()),
                Role::Colour | Role::Other => sizes.push(value),
            }
        }
        let size = if sizes.is_empty() { "One size".to_owned() } else { sizes.join(" / ") };
        let colour = colour.unwrap_or_else(|| hints.colour());
        if size.chars().count() > MAX_TEXT || colour.chars().count() > MAX_TEXT {
            let reason = format!("size and colour must be at most {MAX_TEXT} characters each");
            return Err(Problem::new(row.line, Column::Option1Value.name(), reason));
        }
        Ok(Variant {
            sku: if row.sku.is_empty() { name::derived_sku(&self.slug, &options) } else { row.sku },
            colour_hex: derive::hex(&colour),
            size,
            colour,
            price: row.price,
            compare_at: row.compare_at,
            grams: row.grams,
            stock: row.stock,
        })
    }
}

fn keep_first(known: &mut String, new: String) {
    if known.is_empty() {
        *known = new;
    }
}

fn is_no(text: &str) -> bool {
    ["false", "no", "0"].iter().any(|no| text.eq_ignore_ascii_case(no))
}

fn role(option: &str) -> Role {
    let option = option.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| option.contains(word));
    if has(&["colour", "color", "farbe", "couleur", "shade"]) {
        Role::Colour
    } else if has(&["size", "größe", "taille", "talla", "waist"]) {
        Role::Size
    } else {
        Role::Other
    }
}

/// The column behind a field of the product that is wrong.
fn column_of(field: &str) -> &str {
    match field.rsplit('.').next().unwrap_or(field) {
        "slug" => Column::Handle.name(),
        "title" => Column::Title.name(),
        "description_html" => Column::Body.name(),
        "category" => Column::Type.name(),
        "tags" => Column::Tags.name(),
        "image_urls" => Column::Image.name(),
        "sku" => Column::Sku.name(),
        "price" => Column::Price.name(),
        "size" | "colour" => Column::Option1Value.name(),
        _ => field,
    }
}
