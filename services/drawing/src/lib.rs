//! Drawn garment pictures: flat-lay illustrations as SVG text, made from a short key and nothing else.
//!
//! A key such as `shirt.relaxed.stripe.2f4b6e.f2ede4` names garment, cut, pattern, colour and accent. It is all that
//! the address of a picture holds, so its vocabulary is closed and its length bounded. The SVG carries no script, no
//! external reference and no inline style: it is safe under the strictest content security policy.

mod accessories;
mod bags;
mod bottoms;
mod canvas;
mod colour;
mod dresses;
mod fabric;
mod footwear;
mod outerwear;
mod silhouette;
mod tops;

use std::{error, fmt, str::FromStr};

use canvas::Canvas;
pub use colour::Colour;

/// Bytes of the longest key accepted; the longest that exists today has 44.
const MAX_KEY_BYTES: usize = 64;

/// Declares a closed vocabulary: an enum whose variants are written as fixed words.
macro_rules! vocabulary {
    ($(#[$about:meta])* $name:ident, $field:literal, { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every word of the vocabulary.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in a picture's key.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(word: &str) -> Result<Self, KeyError> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(KeyError::Word { field: $field }) }
            }
        }
    };
}

vocabulary!(
    /// What is drawn.
    Garment, "garment", {
        /// A crew-neck T-shirt.
        Tshirt = "tshirt",
        /// A buttoned shirt with collar and cuffs.
        Shirt = "shirt",
        /// A blouse with full sleeves and a bow.
        Blouse = "blouse",
        /// A polo shirt.
        Polo = "polo",
        /// A jumper.
        Knit = "knit",
        /// A buttoned cardigan.
        Cardigan = "cardigan",
        /// A hooded sweatshirt.
        Hoodie = "hoodie",
        /// A short work jacket with patch pockets.
        Jacket = "jacket",
        /// A tailored, single-breasted blazer.
        Blazer = "blazer",
        /// A double-breasted coat.
        Coat = "coat",
        /// A dress; its cut decides on straps, sleeves and skirt.
        Dress = "dress",
        /// A skirt; its cut decides between pencil, A-line, mini and maxi.
        Skirt = "skirt",
        /// Pressed trousers.
        Trousers = "trousers",
        /// Five-pocket jeans.
        Jeans = "jeans",
        /// Shorts.
        Shorts = "shorts",
        /// A pair of sneakers.
        Sneakers = "sneakers",
        /// A pair of Chelsea boots.
        Boots = "boots",
        /// A tote bag.
        Bag = "bag",
        /// A backpack.
        Backpack = "backpack",
        /// A folded scarf with fringes.
        Scarf = "scarf",
        /// A knitted hat.
        Beanie = "beanie",
        /// A cap with a brim.
        Cap = "cap",
        /// A rolled belt.
        Belt = "belt",
        /// A pair of socks.
        Socks = "socks",
    }
);

vocabulary!(
    /// How the garment is cut.
    Cut, "cut", {
        /// The usual width and length.
        Regular = "regular",
        /// Wider, with dropped shoulders.
        Relaxed = "relaxed",
        /// Narrower.
        Slim = "slim",
        /// Shorter.
        Cropped = "cropped",
        /// Longer.
        Long = "long",
    }
);

vocabulary!(
    /// What is woven into, knitted into or printed on the cloth.
    Pattern, "pattern", {
        /// One colour.
        Plain = "plain",
        /// Lengthwise stripes.
        Stripe = "stripe",
        /// A woven check.
        Check = "check",
        /// Small dots.
        Dot = "dot",
        /// Scattered blossoms and leaves.
        Floral = "floral",
        /// Knitted ribs or corduroy.
        Rib = "rib",
        /// Twill, washed and topstitched.
        Denim = "denim",
        /// A herringbone weave.
        Herringbone = "herringbone",
        /// Panels in the accent colour.
        Colourblock = "colourblock",
        /// Crosswise sailor stripes.
        Breton = "breton",
    }
);

/// Everything that decides what a picture looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Picture {
    /// What is drawn.
    pub garment: Garment,
    /// How it is cut.
    pub cut: Cut,
    /// What its cloth looks like.
    pub pattern: Pattern,
    /// The cloth's ground.
    pub colour: Colour,
    /// The pattern's second colour, and that of trimmings.
    pub accent: Colour,
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { garment, cut, pattern, colour, accent } = self;
        write!(f, "{}.{}.{}.{colour}.{accent}", garment.word(), cut.word(), pattern.word())
    }
}

impl FromStr for Picture {
    type Err = KeyError;

    /// Parses exactly what [`Display`](fmt::Display) writes.
    fn from_str(key: &str) -> Result<Self, KeyError> {
        if key.len() > MAX_KEY_BYTES {
            return Err(KeyError::Length);
        }
        let mut parts = key.split('.');
        let mut next = || parts.next().ok_or(KeyError::Parts);
        let picture = Self {
            garment: next()?.parse()?,
            cut: next()?.parse()?,
            pattern: next()?.parse()?,
            colour: next()?.parse()?,
            accent: next()?.parse()?,
        };
        if parts.next().is_some() { Err(KeyError::Parts) } else { Ok(picture) }
    }
}

/// Why a text is no picture's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// It is longer than any key can be.
    Length,
    /// It hasn't exactly five parts.
    Parts,
    /// A word isn't in the vocabulary of its field.
    Word {
        /// The part that is wrong: `garment`, `cut` or `pattern`.
        field: &'static str,
    },
    /// A colour isn't six lower-case hexadecimal digits.
    Colour,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "the picture's key is longer than {MAX_KEY_BYTES} bytes"),
            Self::Parts => write!(f, "a picture's key has five parts: garment.cut.pattern.colour.accent"),
            Self::Word { field } => write!(f, "unknown {field} in the picture's key"),
            Self::Colour => write!(f, "a colour in a picture's key is six lower-case hexadecimal digits"),
        }
    }
}

impl error::Error for KeyError {}

/// The picture as an SVG document of at most 8 KB, 600 by 750 units; the same picture is always the same text.
pub fn draw(picture: &Picture) -> String {
    let mut canvas = Canvas::new(picture);
    let cut = picture.cut;
    match picture.garment {
        Garment::Tshirt => tops::tshirt(&mut canvas, cut),
        Garment::Shirt => tops::shirt(&mut canvas, cut),
        Garment::Blouse => tops::blouse(&mut canvas, cut),
        Garment::Polo => tops::polo(&mut canvas, cut),
        Garment::Knit => tops::knit(&mut canvas, cut),
        Garment::Cardigan => tops::cardigan(&mut canvas, cut),
        Garment::Hoodie => outerwear::hoodie(&mut canvas, cut),
        Garment::Jacket => outerwear::jacket(&mut canvas, cut),
        Garment::Blazer => outerwear::blazer(&mut canvas, cut),
        Garment::Coat => outerwear::coat(&mut canvas, cut),
        Garment::Dress => dresses::dress(&mut canvas, cut),
        Garment::Skirt => dresses::skirt(&mut canvas, cut),
        Garment::Trousers => bottoms::trousers(&mut canvas, cut),
        Garment::Jeans => bottoms::jeans(&mut canvas, cut),
        Garment::Shorts => bottoms::shorts(&mut canvas, cut),
        Garment::Sneakers => footwear::sneakers(&mut canvas, cut),
        Garment::Boots => footwear::boots(&mut canvas, cut),
        Garment::Bag => bags::tote(&mut canvas, cut),
        Garment::Backpack => bags::backpack(&mut canvas, cut),
        Garment::Scarf => accessories::scarf(&mut canvas, cut),
        Garment::Beanie => accessories::beanie(&mut canvas, cut),
        Garment::Cap => accessories::cap(&mut canvas),
        Garment::Belt => accessories::belt(&mut canvas),
        Garment::Socks => accessories::socks(&mut canvas, cut),
    }
    canvas.finish()
}

#[cfg(test)]
mod tests;
