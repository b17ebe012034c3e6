//! Numbers for the names that many products share: sizes, colours, categories, and the sets of them that products come in.
//!
//! An index's columns hold numbers. Names are only ever added, each in a line of a file beside the index, which is on the disk
//! before the documents that use it: whatever the index refers to is known, and a name that no document uses does no harm.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::fold::fold;

/// Sizes that have numbers of their own: 16 bits of an offer. Beyond it, which no shop comes near, sizes share the last one,
/// and listings can't be narrowed by those.
const MAX_SIZES: usize = (1 << 16) - 1;
/// The same for colours: 17 bits.
const MAX_COLOURS: usize = (1 << 17) - 1;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Category(String),
    Size(String),
    /// Its name, and six hexadecimal digits.
    Colour(String, String),
    /// The sizes that a product comes in, ascending.
    Sizes(Vec<u32>),
    /// The colours that a product comes in, ascending.
    Colours(Vec<u32>),
}

/// What names have numbers, by number and by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: HashMap<Line, u32>,
    pub(super) categories: Vec<String>,
    pub(super) sizes: Vec<Name>,
    pub(super) colours: Vec<Name>,
    pub(super) size_sets: Vec<Set>,
    pub(super) colour_sets: Vec<Set>,
    /// The first size or colour of each folded name.
    folded: [HashMap<String, u32>; 2],
    /// Lines that aren't in the file yet.
    new: Vec<Line>,
    /// Of the file's lines.
    read: Sha256,
}

/// How many lines an index refers to, and what they are, in a few letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    lines: usize,
    digest: String,
}

/// A size or a colour.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// As it is written.
    pub(super) text: String,
    /// Without its case.
    pub(super) folded: String,
    /// A colour's six hexadecimal digits.
    pub(super) hex: String,
    /// The first one that differs from it in case alone, or itself.
    pub(super) first: u32,
}

/// Sizes or colours that products come in.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// Their numbers.
    pub(super) names: Box<[u32]>,
    /// Those of the first ones that differ from them in case alone, each once.
    pub(super) firsts: Box<[u32]>,
}

impl Set {
    fn new(names: &[u32], all: &[Name]) -> Self {
        let firsts = set(names.iter().map(|name| all[*name as usize].first), all.len());
        Self { names: names.into(), firsts: firsts.into() }
    }
}

impl Names {
    /// Reads the file's lines, of which the first must be those of `seal`. One that was being written when the process ended is no
    /// line yet: no document uses it.
    ///
    /// # Errors
    /// If the file can't be read, or isn't one of names.
    pub(super) fn read(path: &Path, seal: &Seal) -> io::Result<Self> {
        let mut names = Self::default();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && names.seal() == *seal => return Ok(names),
            Err(error) => return Err(error),
        };
        let (mut reader, mut line, mut whole) = (BufReader::new(file), String::new(), 0);
        let mut is_sealed = names.seal() == *seal;
        loop {
            line.clear();
            let length = reader.read_line(&mut line)?;
            if !line.ends_with('\n') {
                break;
            }
            whole += length as u64;
            names.add(serde_json::from_str(&line)?);
            names.new.clear();
            names.read.update(&line);
            is_sealed |= names.seal() == *seal;
        }
        if !is_sealed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "names are missing, or are others"));
        }
        if !line.is_empty() {
            OpenOptions::new().write(true).open(path)?.set_len(whole)?;
        }
        Ok(names)
    }

    /// Writes what is new behind the file's lines, and waits until it is on the disk; whether there was something new. What
    /// fails is written again next time.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, path: &Path) -> io::Result<bool> {
        if self.new.is_empty() {
            return Ok(false);
        }
        let mut lines = Vec::new();
        for line in &self.new {
            serde_json::to_writer(&mut lines, line)?;
            lines.push(b'\n');
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let whole = file.seek(io::SeekFrom::End(0))?;
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync_data()) {
            // Half of it would be read as other numbers' names.
            file.set_len(whole)?;
            return Err(error);
        }
        self.read.update(&lines);
        self.new.clear();
        Ok(true)
    }

    /// What is in the file.
    pub(super) fn seal(&self) -> Seal {
        let digest = self.read.clone().finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Seal { lines: self.known.len() - self.new.len(), digest }
    }

    pub(super) fn category(&mut self, slug: &str) -> u32 {
        self.number(Line::Category(slug.to_owned()))
    }

    pub(super) fn size(&mut self, size: &str) -> u32 {
        let line = Line::Size(size.to_owned());
        let is_full = self.sizes.len() >= MAX_SIZES && !self.known.contains_key(&line);
        if is_full { MAX_SIZES as u32 } else { self.number(line) }
    }

    pub(super) fn colour(&mut self, colour: &str, hex: &str) -> u32 {
        let line = Line::Colour(colour.to_owned(), hex.to_owned());
        let is_full = self.colours.len() >= MAX_COLOURS && !self.known.contains_key(&line);
        if is_full { MAX_COLOURS as u32 } else { self.number(line) }
    }

    pub(super) fn size_set(&mut self, sizes: impl Iterator<Item = u32>) -> u32 {
        let set = set(sizes, self.sizes.len());
        self.number(Line::Sizes(set))
    }

    pub(super) fn colour_set(&mut self, colours: impl Iterator<Item = u32>) -> u32 {
        let set = set(colours, self.colours.len());
        self.number(Line::Colours(set))
    }

    fn number(&mut self, line: Line) -> u32 {
        match self.known.get(&line) {
            Some(number) => *number,
            None => self.add(line),
        }
    }

    fn add(&mut self, line: Line) -> u32 {
        let name = |text: &String, hex: &str, firsts: &mut HashMap<String, u32>, number: usize| {
            let folded = fold(text);
            let first = *firsts.entry(folded.clone()).or_insert(number as u32);
            Name { text: text.clone(), folded, hex: hex.to_owned(), first }
        };
        let [folded_sizes, folded_colours] = &mut self.folded;
        let number = match &line {
            Line::Category(slug) => push(&mut self.categories, slug.clone()),
            Line::Size(size) => {
                let name = name(size, "", folded_sizes, self.sizes.len());
                push(&mut self.sizes, name)
            }
            Line::Colour(colour, hex) => {
                let name = name(colour, hex, folded_colours, self.colours.len());
                push(&mut self.colours, name)
            }
            Line::Sizes(set) => push(&mut self.size_sets, Set::new(set, &self.sizes)),
            Line::Colours(set) => push(&mut self.colour_sets, Set::new(set, &self.colours)),
        };
        self.new.push(line.clone());
        self.known.insert(line, number);
        number
    }

    /// The category's number, if a product was ever in it.
    pub(super) fn find_category(&self, slug: &str) -> Option<u32> {
        self.known.get(&Line::Category(slug.to_owned())).copied()
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> u32 {
    list.push(item);
    list.len() as u32 - 1
}

/// Numbers ascending, each once, without those that stand for no name.
fn set(numbers: impl Iterator<Item = u32>, known: usize) -> Vec<u32> {
    let mut set: Vec<_> = numbers.filter(|number| (*number as usize) < known).collect();
    set.sort_unstable();
    set.dedup();
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_whatever_is_torn_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        let mut names = Names::default();
        let (medium, large) = (names.size("M"), names.size("L"));
        assert_eq!((medium, large, names.size("M")), (0, 1, 0));
        assert_eq!(names.size_set([large, medium, large].into_iter()), 0);
        names.write(&path).unwrap();
        let (whole, seal) = (std::fs::read(&path).unwrap(), names.seal());
        assert_eq!(names.colour("Ink", "2f4b6e"), 0);
        names.write(&path).unwrap();
        let mut torn = std::fs::read(&path).unwrap();
        torn.pop();
        for length in whole.len()..=torn.len() {
            std::fs::write(&path, &torn[..length]).unwrap();
            let mut again = Names::read(&path, &seal).unwrap();
            assert_eq!((again.size("L"), again.size_set([0, 1].into_iter()), again.colours.len()), (1, 0, 0));
            assert_eq!(std::fs::read(&path).unwrap(), whole, "the half line is gone");
            assert_eq!(again.seal(), seal);
            assert_eq!(again.colour("Oat", "e8dcc4"), 0);
        }
        for length in 0..whole.len() {
            std::fs::write(&path, &torn[..length]).unwrap();
            assert!(Names::read(&path, &seal).is_err(), "{length}");
        }
        let other = String::from_utf8(whole).unwrap().replace("\"M\"", "\"N\"");
        std::fs::write(&path, other).unwrap();
        assert!(Names::read(&path, &seal).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(Names::read(&path, &seal).is_err());
    }

    #[test]
    fn there_is_no_end_of_names() {
        let mut names = Names::default();
        for number in 0..MAX_SIZES + 10 {
            names.size(&number.to_string());
        }
        assert_eq!((names.size("7"), names.size("new"), names.sizes.len()), (7, MAX_SIZES as u32, MAX_SIZES));
        assert_eq!(names.size_set([3, MAX_SIZES as u32].into_iter()), 0);
        assert_eq!(*names.size_sets[0].names, [3]);
    }
}
