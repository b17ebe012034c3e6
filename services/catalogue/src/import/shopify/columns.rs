use csv::ByteRecord;

use crate::import::ImportError;

/// Declares the columns that are read, each with the names it goes by: the classic template's first, then the newer
/// one's.
macro_rules! columns {
    ($($(#[$doc:meta])* $column:ident = $($name:literal)|+,)+) => {
        /// A column that is read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Column { $($(#[$doc])* $column,)+ }

        /// Every column and its names.
        const ALL: &[(Column, &[&str])] = &[$((Column::$column, &[$($name),+])),+];
    };
}

columns! {
    Handle = "Handle" | "URL handle",
    Title = "Title",
    Body = "Body (HTML)" | "Description" | "Body HTML",
    Type = "Type" | "Product type",
    Tags = "Tags",
    Published = "Published" | "Published on online store",
    Status = "Status",
    Gender = "Google Shopping / Gender",
    Option1Name = "Option1 Name",
    Option1Value = "Option1 Value",
    Option2Name = "Option2 Name",
    Option2Value = "Option2 Value",
    Option3Name = "Option3 Name",
    Option3Value = "Option3 Value",
    Sku = "Variant SKU" | "SKU",
    Grams = "Variant Grams" | "Weight value (grams)",
    Tracker = "Variant Inventory Tracker" | "Inventory tracker",
    Quantity = "Variant Inventory Qty" | "Inventory quantity",
    Price = "Variant Price" | "Price",
    CompareAt = "Variant Compare At Price" | "Compare-at price",
    Image = "Image Src" | "Product image URL",
    ImagePosition = "Image Position",
    VariantImage = "Variant Image" | "Variant image URL",
}

/// A product's three options: name and value.
pub(super) const OPTIONS: [(Column, Column); 3] = [
    (Column::Option1Name, Column::Option1Value),
    (Column::Option2Name, Column::Option2Value),
    (Column::Option3Name, Column::Option3Value),
];

impl Column {
    /// The name in problems: the classic one.
    pub(super) fn name(self) -> &'static str {
        ALL[self as usize].1[0]
    }
}

/// Where the columns stand in this feed.
pub(super) struct Columns {
    places: Vec<Option<usize>>,
    /// How many columns the feed has, unknown ones included.
    pub(super) width: usize,
}

impl Columns {
    /// Reads the heading. Names are compared by their letters and digits alone.
    pub(super) fn read(heading: &ByteRecord) -> Result<Self, ImportError> {
        let names: Vec<_> = heading.iter().map(|name| letters(&String::from_utf8_lossy(name))).collect();
        let place =
            |known: &[&str]| known.iter().find_map(|known| names.iter().position(|name| *name == letters(known)));
        let columns = Self { places: ALL.iter().map(|(_, known)| place(known)).collect(), width: names.len() };
        match [Column::Handle, Column::Title, Column::Price].into_iter().find(|column| columns.place(*column).is_none())
        {
            None => Ok(columns),
            Some(missing) => Err(ImportError::Heading(missing.name())),
        }
    }

    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places[column as usize]
    }
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}
