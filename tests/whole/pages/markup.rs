//! A page's elements, read more strictly than browsers do: every tag is closed in its order, every attribute is quoted,
//! every `<` and `&` in a text is escaped. What somebody smuggles into a page doesn't hide in it.

/// Elements that have no end.
const VOID: &[&str] = &["br", "hr", "img", "input", "link", "meta"];
/// What may stand in no paragraph, nor in a span: browsers would end it there.
const BLOCKS: &[&str] =
    &["article", "div", "dl", "fieldset", "form", "h1", "h2", "main", "nav", "ol", "p", "section", "ul"];

/// A page, or a picture.
#[derive(Debug)]
pub(crate) struct Markup {
    /// In the order of their beginnings.
    pub(crate) elements: Vec<Element>,
}

#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// The elements around it, from the outermost, by their places.
    pub(crate) around: Vec<usize>,
    /// All text in it.
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }
}

impl Markup {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut rest = text.strip_prefix("<!doctype html>").unwrap_or(text);
        while !rest.is_empty() {
            let near = || rest.chars().take(80).collect::<String>();
            let (between, tag) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            let said = unescaped(between)?;
            open.iter().for_each(|place| elements[*place].text.push_str(&said));
            if tag.is_empty() {
                break;
            }
            if let Some(end) = tag.strip_prefix("</") {
                let (name, after) = end.split_once('>').ok_or_else(near)?;
                let last = open.pop().map(|place| elements[place].name.as_str());
                if last != Some(name) {
                    return Err(format!("</{name}> ends {last:?}: {}", near()));
                }
                rest = after;
                continue;
            }
            let (name, mut after) = name(&tag[1..]).ok_or_else(near)?;
            let mut element =
                Element { name: name.to_owned(), attributes: Vec::new(), around: open.clone(), text: String::new() };
            let ended = loop {
                let trimmed = after.trim_start();
                if let Some(after) = trimmed.strip_prefix("/>") {
                    break (after, true);
                }
                if let Some(after) = trimmed.strip_prefix('>') {
                    break (after, VOID.contains(&name));
                }
                let (attribute, value) =
                    self::name(trimmed).filter(|_| trimmed.len() < after.len()).ok_or_else(near)?;
                let (value, behind) = match value.strip_prefix("=\"") {
                    Some(value) => value.split_once('"').ok_or_else(near)?,
                    None => ("", value),
                };
                if element.get(attribute).is_some() {
                    return Err(format!("twice {attribute}: {}", near()));
                }
                element.attributes.push((attribute.to_owned(), unescaped(value)?));
                after = behind;
            };
            let parents: Vec<_> = open.iter().map(|place| elements[*place].name.as_str()).collect();
            let misplaced = match name {
                "a" | "form" | "label" | "button" => parents.contains(&name),
                _ if BLOCKS.contains(&name) => parents.iter().any(|parent| ["p", "span"].contains(parent)),
                _ => false,
            };
            if misplaced {
                return Err(format!("<{name}> within {parents:?}: {}", near()));
            }
            if !ended.1 {
                open.push(elements.len());
            }
            elements.push(element);
            rest = ended.0;
        }
        match open.last() {
            Some(place) => Err(format!("<{}> is never ended", elements[*place].name)),
            None => Ok(Self { elements }),
        }
    }

    /// All elements of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    /// The one element that has this attribute.
    pub(crate) fn one(&self, attribute: &str, value: &str) -> &Element {
        let mut found = self.elements.iter().filter(|element| element.has(attribute, value));
        let first = found.next().unwrap_or_else(|| panic!("no {attribute}={value}:\n{}", self.text()));
        assert!(found.next().is_none(), "several {attribute}={value}");
        first
    }

    /// All that can be read.
    pub(crate) fn text(&self) -> String {
        self.all("body").map(|body| body.text.as_str()).collect()
    }

    /// Whether `element` stands in one named `name` for which `is` holds.
    pub(crate) fn within(&self, element: &Element, name: &str, is: impl Fn(&Element) -> bool) -> bool {
        element.around.iter().map(|place| &self.elements[*place]).any(|around| around.name == name && is(around))
    }

    /// The forms that lead to `action`, filled in as they are shown.
    pub(crate) fn forms(&self, action: &str) -> Vec<Form> {
        let is_form = |element: &Element| element.name == "form" && element.has("action", action);
        let places = (0..self.elements.len()).filter(|place| is_form(&self.elements[*place]));
        places.map(|place| self.form_at(place)).collect()
    }

    /// The first of them.
    pub(crate) fn form(&self, action: &str) -> Form {
        let first = self.forms(action).into_iter().next();
        first.unwrap_or_else(|| panic!("no form leads to {action}:\n{}", self.text()))
    }

    fn form_at(&self, place: usize) -> Form {
        let mut form =
            Form { action: self.elements[place].get("action").unwrap_or_default().to_owned(), fields: vec![] };
        for (at, element) in self.elements.iter().enumerate().filter(|(_, element)| element.around.contains(&place)) {
            let (name, kind) = (element.get("name").unwrap_or_default(), element.get("type").unwrap_or("text"));
            let sent = match (element.name.as_str(), kind) {
                ("input", "checkbox" | "radio") => element.get("checked").and(element.get("value")),
                ("input", _) => Some(element.get("value").unwrap_or_default()),
                ("select", _) => {
                    let options = || self.all("option").filter(|option| option.around.contains(&at));
                    let chosen = options().find(|option| option.get("selected").is_some()).or(options().next());
                    chosen.and_then(|option| option.get("value"))
                }
                _ => None,
            };
            if let Some(value) = sent.filter(|_| element.get("disabled").is_none()) {
                form.fields.push((name.to_owned(), value.to_owned()));
            }
        }
        form
    }
}

/// A form, as a browser would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Fills in a field, chooses, or pushes a button.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A name and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == ':';
    let end = text.find(|letter| !is_name(letter)).unwrap_or(text.len());
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()).then(|| text.split_at(end))
}

/// Text as people read it.
fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.split_once(';').and_then(|(name, after)| {
            let letter = match name {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "nbsp" => '\u{a0}',
                _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
            };
            Some((letter, after))
        });
        let (letter, after) = escaped.ok_or_else(|| format!("a bare ampersand: {text}"))?;
        plain.push(letter);
        plain.push_str(after);
    }
    Ok(plain)
}

#[test]
fn what_doesnt_belong_into_a_page_doesnt_pass_for_text() {
    let page = Markup::parse("<!doctype html><p class=\"a\" hidden>1 &#60; 2<br>&amp; <b>x</b></p>").unwrap();
    assert_eq!((page.elements[0].text.as_str(), page.elements[0].get("hidden")), ("1 < 2& x", Some("")));
    assert_eq!(page.elements[2].around, [0]);
    let smuggled =
        ["<p>a & b</p>", "<p>a < b</p>", "<p x=y></p>", "<p x=\"a\"b\"></p>", "<p><b></p></b>", "<p>", "</p>"];
    for text in smuggled.into_iter().chain(["<p><div></div></p>", "<p a a></p>", "<!-- a -->", "<p title=\"a"]) {
        assert!(Markup::parse(text).is_err(), "{text}");
    }
}
