//! The metrics of all listeners of the process.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use opentelemetry::KeyValue;

use super::book::Book;

/// Those that there are.
static BOOKS: Mutex<Vec<Weak<Book>>> = Mutex::new(Vec::new());

/// Adds the listener of `book` to them.
pub(super) fn add(book: &Arc<Book>) {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(book));
    LazyLock::force(&INSTRUMENTS);
}

fn books() -> Vec<Arc<Book>> {
    let mut books = BOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    books.retain(|book| book.strong_count() > 0);
    books.iter().filter_map(Weak::upgrade).collect()
}

static INSTRUMENTS: LazyLock<()> = LazyLock::new(|| {
    const LISTENER: &str = "listener";
    let meter = opentelemetry::global::meter("selvage.listener");
    type Number = fn(&Book) -> usize;
    let numbers: [(&'static str, &'static str, Number); 2] = [
        ("selvage.listener.connections", "Connections that are open.", Book::open),
        ("selvage.listener.limit", "Connections that there may be at once.", |book| book.limit),
    ];
    for (name, description, number) in numbers {
        meter
            .u64_observable_gauge(name)
            .with_unit("{connection}")
            .with_description(description)
            .with_callback(move |instrument| {
                for book in books() {
                    instrument.observe(number(&book) as u64, &[KeyValue::new(LISTENER, book.name)]);
                }
            })
            .build();
    }
    meter
        .u64_observable_counter("selvage.listener.troubles")
        .with_unit("{connection}")
        .with_description(
            "Connections that had to wait for a place (full), were closed since their address had its share (refused), \
             couldn't be accepted (failed), didn't open in time (unopened), or read nothing (stalled).",
        )
        .with_callback(|instrument| {
            for book in books() {
                for (trouble, count) in book.troubles() {
                    let attributes = [KeyValue::new(LISTENER, book.name), KeyValue::new("trouble", trouble.name())];
                    instrument.observe(count, &attributes);
                }
            }
        })
        .build();
});
