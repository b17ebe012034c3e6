use csv::ByteRecord;

use super::columns::{Column, Columns, OPTIONS};
use crate::import::price::minor_units;
use crate::import::{MAX_FIELD, Problem, name};

/// What a new variant's stock is where the feed sells it without counting.
const UNCOUNTED: i32 = 100;
const MAX_STOCK: i64 = 1_000_000;
const MAX_GRAMS: f64 = 100_000.0;

/// A row of the feed.
pub(super) struct Row<'a> {
    pub(super) columns: &'a Columns,
    pub(super) record: &'a ByteRecord,
    pub(super) line: u64,
}

/// A variant as a row gives it.
pub(super) struct RowVariant {
    pub(super) line: u64,
    pub(super) values: [String; 3],
    /// Empty if the feed gives none.
    pub(super) sku: String,
    pub(super) price: i64,
    pub(super) compare_at: Option<i64>,
    pub(super) grams: i32,
    pub(super) stock: i32,
}

impl Row<'_> {
    /// More fields than columns mean that a comma or a quotation mark is astray: every field may be another's.
    pub(super) fn check_shape(&self) -> Result<(), Problem> {
        let (fields, columns) = (self.record.len(), self.columns.width);
        if fields <= columns {
            return Ok(());
        }
        let reason = format!("has {fields} fields, but there are {columns} columns; is a quotation mark missing?");
        Err(Problem::new(self.line, "", reason))
    }

    /// A field without the space around it; empty if the feed has no such column.
    pub(super) fn text(&self, column: Column) -> Result<&str, Problem> {
        let field = self.columns.place(column).and_then(|place| self.record.get(place)).unwrap_or_default();
        if field.len() > MAX_FIELD {
            return Err(self.problem(column, "is longer than 64 KiB"));
        }
        let text = std::str::from_utf8(field).map_err(|_| self.problem(column, "is not UTF-8"))?;
        Ok(text.trim())
    }

    /// A field of one line: control characters count as spaces.
    pub(super) fn line_of(&self, column: Column) -> Result<String, Problem> {
        let words: Vec<_> = self.text(column)?.split(|letter: char| letter.is_control() || letter == ' ').collect();
        Ok(words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
    }

    pub(super) fn slug(&self) -> Result<String, Problem> {
        let handle = self.text(Column::Handle)?;
        let slug = name::slug(handle);
        if !slug.is_empty() {
            return Ok(slug);
        }
        let reason = if handle.is_empty() { "is missing" } else { "must have a letter or digit" };
        Err(self.problem(Column::Handle, reason))
    }

    /// The variant that it gives; `None` if it is there for an image or the product's fields alone.
    pub(super) fn variant(&self, currency: &str) -> Result<Option<RowVariant>, Problem> {
        let [first, second, third] = OPTIONS.map(|(_, value)| value);
        let values = [self.line_of(first)?, self.line_of(second)?, self.line_of(third)?];
        let (sku, amount) = (self.text(Column::Sku)?, self.text(Column::Price)?);
        if sku.is_empty() && amount.is_empty() && values.iter().all(String::is_empty) {
            return Ok(None);
        }
        let sku = match sku {
            "" => String::new(),
            text => name::sku(text).map_err(|reason| self.problem(Column::Sku, reason))?,
        };
        let price = minor_units(amount, currency).map_err(|reason| self.problem(Column::Price, reason))?;
        Ok(Some(RowVariant {
            line: self.line,
            values,
            sku,
            price,
            compare_at: self.compare_at(price, currency)?,
            grams: self.grams()?,
            stock: self.stock()?,
        }))
    }

    /// The price before a reduction. Feeds carry zeros and old prices that are no higher; those reduce nothing.
    fn compare_at(&self, price: i64, currency: &str) -> Result<Option<i64>, Problem> {
        match self.text(Column::CompareAt)? {
            "" => Ok(None),
            text => {
                let before = minor_units(text, currency).map_err(|reason| self.problem(Column::CompareAt, reason))?;
                Ok(Some(before).filter(|before| *before > price))
            }
        }
    }

    fn grams(&self) -> Result<i32, Problem> {
        let text = self.text(Column::Grams)?;
        if text.is_empty() {
            return Ok(0);
        }
        let grams = text.parse::<f64>().ok().filter(|grams| (0.0..=MAX_GRAMS).contains(grams));
        let grams = grams.ok_or_else(|| self.problem(Column::Grams, "must be a number from 0 to 100000"))?;
        // In bounds, so nothing but the fraction is lost.
        Ok(grams.round() as i32)
    }

    /// Pieces on hand. Below zero a shop has sold more than it had: there is nothing left.
    fn stock(&self) -> Result<i32, Problem> {
        let text = self.text(Column::Quantity)?;
        if text.is_empty() {
            return Ok(if self.text(Column::Tracker)?.is_empty() { UNCOUNTED } else { 0 });
        }
        let stock = text.parse::<i64>().ok().filter(|stock| *stock <= MAX_STOCK);
        let stock = stock.and_then(|stock| i32::try_from(stock.max(0)).ok());
        stock.ok_or_else(|| self.problem(Column::Quantity, "must be a whole number of at most 1000000"))
    }
}
