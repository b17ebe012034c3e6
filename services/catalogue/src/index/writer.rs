//! How products come into the index.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::{OpenDirectoryError, OpenReadError};
use tantivy::indexer::LogMergePolicy;
use tantivy::schema::Schema;
use tantivy::{IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyError};

use super::Index;
use super::names::{Names, Seal};
use super::schema::{self, Fields, LAYOUT, document, key};
use crate::store::StoredProduct;

/// Memory for documents until they are written to a segment of their own: the least that tantivy takes.
const MEMORY_BYTES: usize = 15_000_000;
/// How many bytes of cards are packed together: a page needs a few cards from here and there.
const CARD_BLOCK_BYTES: usize = 4096;
/// Blocks of cards that are kept unpacked, for each segment.
const CARD_BLOCKS: usize = 128;
/// The share of a segment's products that have changed since, from which on it is written anew.
const DELETED_SHARE: f32 = 0.3;

/// A file that whoever writes an index holds locked.
const LOCK: &str = ".writer.lock";

/// Writes the index: one for each folder.
pub struct Writer {
    folder: PathBuf,
    index: tantivy::Index,
    fields: Fields,
    /// `None` while there is nothing to write, for it has threads and some megabytes; and after a failure, so that what it had
    /// taken is forgotten.
    writer: Option<IndexWriter>,
    reader: IndexReader,
    names: Names,
    /// Those of the last commit, as everybody reads them.
    published: Arc<Names>,
    /// Where in the log of changes the last commit stands; `None` if there is no whole index yet.
    position: Option<String>,
    shared: Index,
    /// Held for as long as this writes.
    _lock: Option<File>,
}

/// Why an index can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder can't be used.
    #[error("the index's folder {} can't be written: {why}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Another process has it.
    #[error("another process writes the index in {}; give each a folder of its own", .0.display())]
    Taken(PathBuf),
}

/// What is noted with a commit.
#[derive(Serialize, Deserialize)]
struct Payload {
    layout: u32,
    /// See [`Writer::position`].
    position: String,
    /// Of the names that it refers to.
    names: Seal,
}

impl Writer {
    pub(super) fn open(folder: &Path) -> Result<(Index, Self), OpenError> {
        let unusable = |why: String| OpenError::Folder { folder: folder.to_owned(), why };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| unusable(error.to_string()))?;
        // Our own, since tantivy's is gone with the files of an index that is thrown away.
        let lock = File::create(folder.join(LOCK)).map_err(|error| unusable(error.to_string()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Taken(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(error.to_string())),
        }
        let (index, writer) = Self::open_or_create(folder)?;
        Ok((index, Self { _lock: Some(lock), ..writer }))
    }

    fn open_or_create(folder: &Path) -> Result<(Index, Self), OpenError> {
        let unusable = |why: String| OpenError::Folder { folder: folder.to_owned(), why };
        match Self::open_what_is_there(folder) {
            Ok(opened) => return Ok(opened),
            Err(TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(_))) => {}
            Err(TantivyError::LockFailure(..)) => return Err(OpenError::Taken(folder.to_owned())),
            Err(TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error, .. })) => {
                return Err(unusable(io_error.to_string()));
            }
            Err(error) => tracing::info!(%error, folder = %folder.display(), "the index is made anew"),
        }
        empty(folder).map_err(|error| unusable(error.to_string()))?;
        Self::create(folder).map_err(|error| match error {
            TantivyError::LockFailure(..) => OpenError::Taken(folder.to_owned()),
            error => unusable(error.to_string()),
        })
    }

    fn open_what_is_there(folder: &Path) -> tantivy::Result<(Index, Self)> {
        let index = tantivy::Index::open(MmapDirectory::open(folder)?)?;
        let (schema, fields) = schema::schema();
        let payload: Option<Payload> =
            index.load_metas()?.payload.and_then(|payload| serde_json::from_str(&payload).ok());
        let payload = payload.filter(|payload| payload.layout == LAYOUT && index.schema() == schema);
        let payload =
            payload.ok_or_else(|| TantivyError::SchemaError("it is of another layout, or isn't whole".into()))?;
        let damaged = index.validate_checksum()?;
        if !damaged.is_empty() {
            return Err(TantivyError::InternalError(format!("{damaged:?} are damaged")));
        }
        let names = Names::read(&names_file(folder), &payload.names)?;
        let (shared, writer) = Self::new(folder, index, fields, names, Some(payload.position))?;
        writer.publish()?;
        Ok((shared, writer))
    }

    fn create(folder: &Path) -> tantivy::Result<(Index, Self)> {
        let (schema, fields): (Schema, Fields) = schema::schema();
        let settings = IndexSettings { docstore_blocksize: CARD_BLOCK_BYTES, ..IndexSettings::default() };
        let index = tantivy::Index::create(MmapDirectory::open(folder)?, schema, settings)?;
        Self::new(folder, index, fields, Names::default(), None)
    }

    fn new(
        folder: &Path,
        index: tantivy::Index,
        fields: Fields,
        names: Names,
        position: Option<String>,
    ) -> tantivy::Result<(Index, Self)> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(CARD_BLOCKS)
            .try_into()?;
        let shared = Index::new(fields);
        let folder = folder.to_owned();
        let published = Arc::new(names.clone());
        Ok((
            shared.clone(),
            Self { folder, index, fields, writer: None, reader, names, published, position, shared, _lock: None },
        ))
    }

    /// What it writes, for those who look something up in it.
    pub fn index(&self) -> Index {
        self.shared.clone()
    }

    /// Where in the log of changes the index stands; `None` if all products have still to be [put](Self::put).
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Has this product as it is now, from the next commit on.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn put(&mut self, product: &StoredProduct) -> tantivy::Result<()> {
        self.remove(&product.product.slug)?;
        self.add(product)
    }

    /// The same for a product that it hasn't got: what is to be removed takes memory until the next commit.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn add(&mut self, product: &StoredProduct) -> tantivy::Result<()> {
        if let Some(document) = document(product, &self.fields, &mut self.names) {
            self.writer()?.add_document(document)?;
        }
        Ok(())
    }

    /// Has no product of this slug any more, from the next commit on.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn remove(&mut self, slug: &str) -> tantivy::Result<()> {
        let key = key(slug, &self.fields);
        self.writer()?.delete_term(key);
        Ok(())
    }

    /// Has no product at all, from the next commit on: they will be put anew.
    ///
    /// # Errors
    /// If tantivy's own thread has ended.
    pub fn clear(&mut self) -> tantivy::Result<()> {
        self.writer()?.delete_all_documents().map(drop)
    }

    /// Makes what was put and removed what everybody sees, as the database was at `position`.
    ///
    /// # Errors
    /// If the disk is full; [`Writer::undo`] then.
    pub fn commit(&mut self, position: &str) -> tantivy::Result<()> {
        if self.names.write(&names_file(&self.folder))? {
            self.published = Arc::new(self.names.clone());
        }
        let payload = Payload { layout: LAYOUT, position: position.to_owned(), names: self.names.seal() };
        let mut commit = self.writer()?.prepare_commit()?;
        commit.set_payload(&serde_json::to_string(&payload).expect("a number and a text"));
        commit.commit()?;
        self.position = Some(position.to_owned());
        self.reader.reload()?;
        self.publish()
    }

    /// Gives back what writing takes, once there has been nothing to write for a while: merges of segments that are still under
    /// way are waited for.
    ///
    /// # Errors
    /// If a merge has failed; the index is as the last commit left it.
    pub fn rest(&mut self) -> tantivy::Result<()> {
        self.writer.take().map_or(Ok(()), IndexWriter::wait_merging_threads)
    }

    /// Forgets what was put and removed since the last commit.
    pub fn undo(&mut self) {
        // Not by tantivy's rollback, which panics where one before it has failed, say on a full disk.
        self.writer = None;
    }

    fn writer(&mut self) -> tantivy::Result<&mut IndexWriter> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            none => Ok(none.insert(begin(&self.index)?)),
        }
    }

    fn publish(&self) -> tantivy::Result<()> {
        self.shared.publish(self.reader.searcher(), self.published.clone())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (folder, position) = (&self.folder, &self.position);
        formatter.debug_struct("Writer").field("folder", folder).field("position", position).finish_non_exhaustive()
    }
}

fn begin(index: &tantivy::Index) -> tantivy::Result<IndexWriter> {
    // One thread: products come a few at a time, and the other processors are the shop's.
    let writer: IndexWriter = index.writer_with_num_threads(1, MEMORY_BYTES)?;
    let mut merging = LogMergePolicy::default();
    merging.set_del_docs_ratio_before_merge(DELETED_SHARE);
    writer.set_merge_policy(Box::new(merging));
    Ok(writer)
}

fn names_file(folder: &Path) -> PathBuf {
    folder.join("names.jsonl")
}

/// Removes the files of a folder, and nothing below it: an index has none there.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name() != LOCK {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
