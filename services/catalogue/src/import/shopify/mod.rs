//! Shopify's product CSV.

mod columns;
mod group;
mod row;

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::ByteRecord;

use self::columns::{Column, Columns};
use self::group::Group;
use self::row::Row;
use super::finish::Seen;
use super::{ImportError, Item, MAX_ROW, Problem};

/// Products whose rows are waited for: so far apart may a product's rows stand.
const MAX_OPEN: usize = 512;
/// Bytes that they may take, whatever they are.
const MAX_OPEN_BYTES: usize = 16 * 1024 * 1024;
/// What is read at once.
const BUFFER: usize = 64 * 1024;

pub(super) fn parse(
    mut feed: impl BufRead,
    currency: &str,
    take: &mut dyn FnMut(Item) -> ControlFlow<()>,
) -> Result<(), ImportError> {
    let delimiter = delimiter(feed.fill_buf()?);
    let left = Arc::new(AtomicUsize::new(0));
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .buffer_capacity(BUFFER)
        .from_reader(Bounded { feed, left: Arc::clone(&left), is_after_return: false });
    let mut record = ByteRecord::new();
    let mut next = |record: &mut ByteRecord| {
        left.store(MAX_ROW + BUFFER, Ordering::Relaxed);
        let before = rows.position().line();
        let read = rows.read_byte_record(record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(_) if left.load(Ordering::Relaxed) == 0 => ImportError::Endless(before),
            csv::ErrorKind::Io(error) => ImportError::Read(error),
            other => ImportError::Read(io::Error::other(format!("{other:?}"))),
        })?;
        // The parser gives the line at which it went on: blank lines before the row are neither the row's own nor its end.
        let newlines = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
        let blank = (rows.position().line() - before).saturating_sub(newlines + 1);
        Ok::<_, ImportError>(read.then_some(before + blank))
    };
    if next(&mut record)?.is_none() {
        return Err(ImportError::Heading("Handle"));
    }
    let columns = Columns::read(&record)?;
    let mut window =
        Window { currency, open: VecDeque::new(), ended: 0, places: HashMap::new(), bytes: 0, seen: Seen::default() };
    while let Some(line) = next(&mut record)? {
        let row = Row { columns: &columns, record: &record, line };
        if take(Item::Row).is_break() || window.add(&row, take)?.is_break() {
            return Ok(());
        }
    }
    while let Some(group) = window.close_first() {
        let item = group.into_item(take);
        if take(item).is_break() {
            break;
        }
    }
    Ok(())
}

/// The delimiter of a feed's heading: spreadsheets in many countries save with semicolons or tabs.
fn delimiter(beginning: &[u8]) -> u8 {
    let heading = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |mark: u8| heading.iter().filter(|byte| **byte == mark).count();
    // Of equally many the last: the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|mark| count(*mark)).unwrap_or(b',')
}

/// A reader that breaks off when a row takes more than it may, and ends every line with a line feed: the parser counts
/// lines by them.
struct Bounded<R> {
    feed: R,
    left: Arc<AtomicUsize>,
    is_after_return: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.left.load(Ordering::Relaxed);
            if left == 0 {
                return Err(io::Error::other("a row is too long"));
            }
            let most = buffer.len().min(left);
            let read = self.feed.read(&mut buffer[..most])?;
            self.left.store(left - read, Ordering::Relaxed);
            let kept = self.end_lines(&mut buffer[..read]);
            // A lone line feed behind a return leaves nothing; that isn't the end.
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

impl<R> Bounded<R> {
    fn end_lines(&mut self, bytes: &mut [u8]) -> usize {
        if !self.is_after_return && !bytes.contains(&b'\r') {
            return bytes.len();
        }
        let mut kept = 0;
        for index in 0..bytes.len() {
            let byte = bytes[index];
            if byte != b'\n' || !self.is_after_return {
                bytes[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
            self.is_after_return = byte == b'\r';
        }
        kept
    }
}

/// The products whose rows may still come, in the order of their first rows.
struct Window<'a> {
    currency: &'a str,
    open: VecDeque<Group>,
    /// How many were closed: the place of the first that is open.
    ended: usize,
    places: HashMap<String, usize>,
    bytes: usize,
    seen: Seen,
}

impl Window<'_> {
    fn add(
        &mut self,
        row: &Row<'_>,
        take: &mut dyn FnMut(Item) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ImportError> {
        if let Err(problem) = row.check_shape() {
            return Ok(take(Item::Problem(problem)));
        }
        let slug = match row.slug() {
            Ok(slug) => slug,
            Err(problem) => return Ok(take(Item::Problem(problem))),
        };
        let place = match self.places.get(&slug) {
            Some(place) => *place,
            None if !self.seen.add(&slug)? => {
                let problem = row.problem(Column::Handle, "its product's first row stands too far above");
                return Ok(take(Item::Problem(problem)));
            }
            None => {
                while self.open.len() >= MAX_OPEN || self.bytes > MAX_OPEN_BYTES {
                    let Some(group) = self.close_first() else { break };
                    let item = group.into_item(take);
                    if take(item).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                let place = self.ended + self.open.len();
                self.places.insert(slug.clone(), place);
                let group = Group::new(slug, row.line);
                self.bytes += group.bytes();
                self.open.push_back(group);
                place
            }
        };
        let Some(group) = self.open.get_mut(place - self.ended) else { return Ok(ControlFlow::Continue(())) };
        let before = group.bytes();
        let problems = group.add(row, self.currency);
        self.bytes += group.bytes() - before;
        for problem in problems {
            if take(Item::Problem(problem)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn close_first(&mut self) -> Option<Group> {
        let group = self.open.pop_front()?;
        self.ended += 1;
        self.places.remove(group.slug());
        self.bytes -= group.bytes();
        Some(group)
    }
}

impl Row<'_> {
    fn problem(&self, column: Column, reason: impl Into<String>) -> Problem {
        Problem::new(self.line, column.name(), reason)
    }
}
