//! Which words of a feed mean which word of ours: the drawing's vocabulary, categories, colours.

/// A feed's text in words: lower case, without apostrophes.
pub(super) fn words(text: &str) -> Vec<String> {
    let text: String =
        text.chars().filter(|letter| !matches!(letter, '\'' | '’')).flat_map(char::to_lowercase).collect();
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The garment that a word means, with the word before it.
pub(super) fn garment(before: &str, word: &str) -> Option<&'static str> {
    Some(match (before, word) {
        ("t", "shirt" | "shirts") => "tshirt",
        ("polo", "shirt" | "shirts") => "polo",
        ("high" | "low", "top" | "tops") => "sneakers",
        ("rain" | "trench" | "over", "coat" | "coats") => "coat",
        ("hooded", "sweatshirt" | "sweatshirts" | "sweater" | "top") => "hoodie",
        ("swim" | "swimming" | "board" | "boxer", "short" | "shorts" | "trunks") => "shorts",
        ("sweat" | "track" | "jogging", "pants") => "trousers",
        (_, word) => return one_word(word),
    })
}

fn one_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "tshirt" | "tshirts" | "tee" | "tees" | "top" | "tops" | "tank" | "tanks" | "vest" | "vests" | "camisole"
        | "bodysuit" | "longsleeve" => "tshirt",
        "shirt" | "shirts" | "overshirt" | "overshirts" => "shirt",
        "blouse" | "blouses" | "tunic" | "tunics" => "blouse",
        "polo" | "polos" => "polo",
        "knit" | "knits" | "knitwear" | "jumper" | "jumpers" | "sweater" | "sweaters" | "pullover" | "pullovers"
        | "sweatshirt" | "sweatshirts" | "turtleneck" | "rollneck" => "knit",
        "cardigan" | "cardigans" => "cardigan",
        "hoodie" | "hoodies" | "hoody" => "hoodie",
        "jacket" | "jackets" | "bomber" | "bombers" | "gilet" | "gilets" | "windbreaker" | "fleece" => "jacket",
        "blazer" | "blazers" | "tuxedo" | "tuxedos" | "suit" | "suits" => "blazer",
        "coat" | "coats" | "overcoat" | "overcoats" | "parka" | "parkas" | "trench" | "raincoat" | "raincoats" => {
            "coat"
        }
        "dress" | "dresses" | "gown" | "gowns" | "jumpsuit" | "jumpsuits" | "kaftan" => "dress",
        "skirt" | "skirts" => "skirt",
        "trouser" | "trousers" | "pants" | "chino" | "chinos" | "leggings" | "joggers" | "culottes" => "trousers",
        "jean" | "jeans" | "dungarees" => "jeans",
        "shorts" => "shorts",
        "sneaker" | "sneakers" | "trainer" | "trainers" | "shoe" | "shoes" | "footwear" | "loafers" | "sandals"
        | "espadrilles" => "sneakers",
        "boot" | "boots" => "boots",
        "bag" | "bags" | "tote" | "totes" | "handbag" | "handbags" | "purse" | "clutch" | "duffel" => "bag",
        "backpack" | "backpacks" | "rucksack" | "rucksacks" => "backpack",
        "scarf" | "scarves" | "shawl" | "shawls" => "scarf",
        "beanie" | "beanies" => "beanie",
        "cap" | "caps" | "hat" | "hats" => "cap",
        "belt" | "belts" => "belt",
        "sock" | "socks" | "tights" | "hosiery" => "socks",
        _ => return None,
    })
}

/// The category in which the shop keeps a garment.
pub(super) fn category_of(garment: &str) -> &'static str {
    match garment {
        "shirt" | "blouse" => "shirts",
        "knit" | "cardigan" | "hoodie" => "knitwear",
        "jacket" | "blazer" => "jackets",
        "coat" => "coats",
        "dress" => "dresses",
        "skirt" => "skirts",
        "trousers" | "shorts" => "trousers",
        "jeans" => "jeans",
        "sneakers" | "boots" => "shoes",
        "bag" | "backpack" => "bags",
        "scarf" | "beanie" | "cap" | "belt" | "socks" => "accessories",
        _ => "t-shirts",
    }
}

/// The pattern that a word means.
pub(super) fn pattern(word: &str) -> Option<&'static str> {
    Some(match word {
        "breton" => "breton",
        "stripe" | "stripes" | "striped" | "pinstripe" | "pinstriped" => "stripe",
        "check" | "checks" | "checked" | "chequered" | "checkered" | "plaid" | "tartan" | "gingham" => "check",
        "dot" | "dots" | "dotted" | "polka" | "spotted" => "dot",
        "floral" | "flower" | "flowers" | "flowered" | "botanical" | "paisley" => "floral",
        "rib" | "ribbed" | "corduroy" | "cord" => "rib",
        "denim" | "chambray" => "denim",
        "herringbone" | "tweed" | "houndstooth" => "herringbone",
        "colourblock" | "colorblock" => "colourblock",
        _ => return None,
    })
}

/// The cut that a word means, if it isn't of a sleeve.
pub(super) fn cut(word: &str, after: &str) -> Option<&'static str> {
    if matches!(after, "sleeve" | "sleeves" | "sleeved") {
        return None;
    }
    Some(match word {
        "relaxed" | "loose" | "oversized" | "boxy" | "baggy" | "wide" => "relaxed",
        "slim" | "skinny" | "fitted" | "tailored" => "slim",
        "cropped" | "crop" | "mini" => "cropped",
        "long" | "longline" | "maxi" => "long",
        _ => return None,
    })
}

/// Whether a word speaks of women (`Some(true)`) or men.
pub(super) fn is_women(word: &str) -> Option<bool> {
    match word {
        "women" | "womens" | "woman" | "womans" | "womenswear" | "ladies" | "female" | "girls" => Some(true),
        "men" | "mens" | "man" | "mans" | "menswear" | "male" | "gentlemen" => Some(false),
        _ => None,
    }
}

/// The colour of a word, six hexadecimal digits.
pub(super) fn colour(word: &str) -> Option<&'static str> {
    Some(match word {
        "black" | "noir" | "schwarz" | "onyx" | "jet" => "222225",
        "white" | "blanc" | "weiss" | "weiß" => "f6f3ec",
        "ivory" | "cream" | "ecru" => "f4eddc",
        "chalk" => "f3efe6",
        "grey" | "gray" | "grau" | "gris" => "8b8f94",
        "charcoal" | "anthracite" => "3b3d42",
        "silver" => "c3c6c5",
        "slate" => "66737f",
        "navy" | "midnight" => "28385a",
        "ink" | "indigo" => "26324a",
        "blue" | "blau" | "bleu" | "cobalt" | "royal" => "2f5b8a",
        "sky" | "azure" => "9db8d2",
        "turquoise" | "aqua" => "5aa7a7",
        "teal" | "petrol" => "2f6b70",
        "green" | "grün" | "vert" => "3f6b52",
        "emerald" => "2c6e54",
        "mint" => "b8d5c3",
        "sage" => "98a58a",
        "olive" | "khaki" | "army" => "5f6647",
        "moss" => "5c6b47",
        "lime" => "b5c76a",
        "yellow" | "gelb" | "jaune" => "e3bd4f",
        "mustard" | "gold" | "ochre" => "cf9a3c",
        "orange" => "cf7a3a",
        "rust" | "terracotta" => "a8543b",
        "red" | "rot" | "rouge" | "scarlet" => "a63a3a",
        "burgundy" | "maroon" | "wine" | "bordeaux" | "oxblood" => "5e2529",
        "coral" | "salmon" => "d6806a",
        "pink" | "rosa" | "rose" => "d9a3a8",
        "blush" | "nude" | "peach" => "e3bfb2",
        "fuchsia" | "magenta" => "a83a78",
        "purple" | "violet" | "plum" | "aubergine" => "6d3f6a",
        "lilac" | "lavender" => "b6a8c6",
        "brown" | "braun" | "marron" | "chocolate" => "5b4030",
        "cognac" | "tan" | "camel" | "caramel" => "b0824f",
        "beige" | "sand" | "stone" | "taupe" => "cdb893",
        "oat" | "oatmeal" | "natural" => "e4d8c2",
        _ => return None,
    })
}

/// Fibres, so that "100 % cotton" in a description is known for a composition.
pub(super) fn is_fibre(word: &str) -> bool {
    matches!(
        word,
        "cotton"
            | "linen"
            | "wool"
            | "merino"
            | "cashmere"
            | "silk"
            | "polyester"
            | "polyamide"
            | "nylon"
            | "viscose"
            | "elastane"
            | "spandex"
            | "lyocell"
            | "tencel"
            | "modal"
            | "hemp"
            | "acrylic"
            | "leather"
            | "mohair"
            | "alpaca"
            | "rayon"
            | "down"
    )
}
