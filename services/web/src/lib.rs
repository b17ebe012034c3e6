//! The shop as people see it: pages rendered here, from what the services say over gRPC. There is no database and no
//! state but a few things kept for seconds; any number of instances serve side by side.
//!
//! Everything works without JavaScript. The scripts in `assets/` only spare a click.
//!
//! # Which module does what
//!
//! A module uses those below it in this list, and none above.
//!
//! | module | job |
//! |---|---|
//! | `process`, [`args`] | the process that serves the pages; its options and variables |
//! | `server` | connections: how many, how long, and their end |
//! | `app` | wiring: the parts of the shop, the routes, the layers around them |
//! | `pages` | one module a page: what it takes, which calls it makes, which template it fills; `form` and `query` read requests, `live` sends parts again that change, `problem` is the page for a failure |
//! | `frame` | what surrounds each page |
//! | `admission`, `observed`, `headers` | layers: bounds and deadlines; spans and metrics; what each request and each answer must say |
//! | `categories` | the categories that each page links to |
//! | `session`, `csrf` | who makes a request; whether a form came from one of our own pages |
//! | `shop` | calls to the services, each with a visitor's token |
//! | `problem` | why there is no page |
//! | [`view`] | pure: services' messages made into what templates show |
//! | `drawn`, `assets` | drawn pictures; style sheets and scripts |
//! | `settings` | what the process is told |
//! | `operations` | who may look at `/ops`, and what the processes and the operator say |
//! | `cookies`, `derived`, `mac` | encrypted cookies; keys that follow the secret ones; keyed hashes |
//! | `cached`, `fields`, `places` | a value kept for a while; fields of queries and forms; a share of few places |
//!
//! # How to add a page
//!
//! 1. What it shows: a struct in [`view`] with a `new` that takes services' messages. What the page must say and a message
//!    may lack is a [`view::missing::Missing`], never an empty text or 0. Test it there; no service is needed.
//! 2. Which call it needs: a method of `shop::Shop`, with the visitor's token as its first argument.
//! 3. How it looks: a template in `templates/` that begins with `{% extends "base.html" %}`. It places what the view holds, and
//!    decides nothing.
//! 4. The handler, in a module of its own in `pages/`:
//!
//!    ```text
//!    /// `GET /returns`
//!    pub(crate) async fn show(State(shop): State<Shop>, State(frames): State<Frames>, visitor: Visitor) -> Page {
//!        let (frame, answer) =
//!            tokio::join!(frames.with_calls(&visitor, "Returns"), shop.returns(&visitor.reading_token));
//!        Ok(page(&ReturnsPage { frame, returns: ReturnsView::new(&answer?)? }))
//!    }
//!    ```
//!
//!    A handler takes the parts that it needs by their types. A new part is a field of `app::Parts`.
//! 5. The route, in `app::routes`: among `personal` if the page is its visitor's own and no cache may keep it.
//! 6. `tests/whole/pages` crawls what the shop links to; a page with behaviour of its own gets a test there.
//!
//! # How to add a form
//!
//! 1. In the template: `method="post"`, an `action`, and the hidden field `csrf` with `{{ frame.csrf }}`.
//! 2. The handler takes `form: Form` as its last argument. `Form` has checked the token and where the request comes from, so a
//!    form that another site sent never reaches a handler; it has the fields and the visitor.
//! 3. `fields.get("name")` is trimmed and can't fail. Look at all fields before answering, and name all that are wrong at once,
//!    as `view::checkout::wrong` does.
//! 4. Answer with `redirect_to`: what the browser loads again is then a GET. What there is to say goes along as
//!    `?notice=word`, and the page that is shown next has the sentence for each word.
//! 5. A form that begins a bag begins a session (`Sessions::begin`): its answer sets the cookie.

mod admission;
mod app;
pub mod args;
mod assets;
mod cached;
mod categories;
mod cookies;
mod csrf;
mod derived;
mod drawn;
mod fields;
mod frame;
mod headers;
mod mac;
mod observed;
mod operations;
mod pages;
mod places;
mod problem;
mod process;
mod server;
mod session;
mod settings;
mod shop;
pub mod view;

pub use app::App;
pub use operations::{Access, Decider, Link, Operations};
pub use process::Web;
pub use server::{CONNECTIONS, serve};
pub use settings::{Peers, Settings};
