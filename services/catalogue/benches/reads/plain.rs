//! What the catalogue is compared with: servers of plain tonic, without any of our own.

#![allow(unreachable_pub, reason = "SeaORM's derive needs `pub`")]

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, QueryOrder as _};
use selvage_proto::catalogue::v1 as api;
use selvage_proto::money::v1::Money;
use selvage_proto::time::timestamp;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, StdError};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

pub(crate) async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server that answers every call with this; its port.
pub(crate) async fn empty(answer: Bytes) -> u16 {
    serve(Plain(Arc::new(Work::Empty(answer)))).await
}

/// A server that answers every call as GetProduct was answered first: two selects of whole rows by SeaORM's own pool.
pub(crate) async fn two_selects(url: &str, connections: u32, slug: &str) -> u16 {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).min_connections(connections).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    assert!(product(&db, slug).await.is_some());
    serve(Plain(Arc::new(Work::TwoSelects(db)))).await
}

/// The connections of a listener, whose answers are written at once as the services' are.
pub(crate) fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

async fn serve(plain: Plain) -> u16 {
    let (listener, port) = listener().await;
    let server = tonic::transport::Server::builder().add_service(plain);
    tokio::spawn(server.serve_with_incoming(incoming(listener)));
    port
}

enum Work {
    Empty(Bytes),
    TwoSelects(DatabaseConnection),
}

#[derive(Clone)]
struct Plain(Arc<Work>);

impl NamedService for Plain {
    const NAME: &'static str = "selvage.catalogue.v1.Catalogue";
}

impl<B> Service<http::Request<B>> for Plain
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            Ok(match &*this.0 {
                Work::Empty(_) => Grpc::new(Raw).unary(this, request).await,
                Work::TwoSelects(_) => {
                    Grpc::new(tonic_prost::ProstCodec::<api::Product, api::GetProductRequest>::default())
                        .unary(this, request)
                        .await
                }
            })
        })
    }
}

impl UnaryService<Bytes> for Plain {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let Work::Empty(answer) = &*self.0 else { unreachable!() };
        std::future::ready(Ok(Response::new(answer.clone())))
    }
}

impl UnaryService<api::GetProductRequest> for Plain {
    type Response = api::Product;
    type Future = BoxFuture<Response<api::Product>, Status>;

    fn call(&mut self, request: Request<api::GetProductRequest>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let Work::TwoSelects(db) = &*this.0 else { unreachable!() };
            let found = product(db, &request.into_inner().slug).await;
            found.map(Response::new).ok_or_else(|| Status::not_found(""))
        })
    }
}

async fn product(db: &DatabaseConnection, slug: &str) -> Option<api::Product> {
    let row = products::Entity::find().filter(products::Column::Slug.eq(slug)).one(db).await.unwrap()?;
    let variants = variants::Entity::find()
        .filter(variants::Column::Product.eq(slug))
        .filter(variants::Column::Withdrawn.eq(false))
        .order_by_asc(variants::Column::Position)
        .all(db)
        .await
        .unwrap();
    let money = |minor_units| Money { currency: row.currency.clone(), minor_units };
    let variants = variants.into_iter().map(|row| api::Variant {
        sku: row.sku,
        size: row.size,
        colour: row.colour,
        colour_hex: row.colour_hex,
        price: Some(money(row.price)),
        compare_at_price: row.compare_at.map(money),
        available: row.stock - row.reserved,
        grams: row.grams,
        initial_stock: 0,
    });
    let variants = variants.collect();
    let [garment, cut, pattern, accent] =
        ["garment", "cut", "pattern", "accent"].map(|word| row.picture[word].as_str().unwrap().to_owned());
    let audience = match row.audience.as_str() {
        "women" => api::Audience::Women,
        "men" => api::Audience::Men,
        _ => api::Audience::Everyone,
    };
    Some(api::Product {
        slug: row.slug,
        title: row.title,
        description_html: row.description_html,
        category: row.category,
        audience: audience.into(),
        material: row.material,
        care: row.care,
        tags: parsed(row.tags),
        image_urls: parsed(row.image_urls),
        picture: Some(api::Picture { garment, cut, pattern, accent }),
        variants,
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
        etag: row.version.to_string(),
    })
}

fn parsed<T: DeserializeOwned>(value: Json) -> T {
    serde_json::from_value(value).unwrap()
}

mod products {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "products")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub slug: String,
        pub title: String,
        pub description_html: String,
        pub category: String,
        pub audience: String,
        pub material: String,
        pub care: String,
        pub tags: Json,
        pub image_urls: Json,
        pub picture: Json,
        pub colours: Json,
        pub currency: String,
        pub from_price: i64,
        pub from_compare_at: Option<i64>,
        pub price_varies: bool,
        pub fingerprint: String,
        pub version: i64,
        pub created_at: i64,
        pub updated_at: i64,
        pub search_title: String,
        pub search_kind: String,
        pub search_material: String,
        pub search_description: String,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod variants {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "variants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sku: String,
        pub product: String,
        pub position: i32,
        pub size: String,
        pub colour: String,
        pub colour_hex: String,
        pub price: i64,
        pub compare_at: Option<i64>,
        pub grams: i32,
        pub stock: i32,
        pub reserved: i32,
        pub withdrawn: bool,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Messages as the bytes that they are.
#[derive(Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
