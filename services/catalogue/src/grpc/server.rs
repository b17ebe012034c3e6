use std::collections::HashMap;
use std::time::Duration;

use selvage_context::clock::Clock;
use selvage_identity::{Role, caller};
use selvage_proto::catalogue::v1::catalogue_server::Catalogue;
use selvage_proto::catalogue::v1::{
    AdjustStockRequest, BatchGetProductsRequest, BatchGetProductsResponse, CommitStockRequest, CreateProductRequest,
    GetProductRequest, ListCategoriesRequest, ListCategoriesResponse, ListProductsRequest, ListProductsResponse,
    Product, ReleaseStockRequest, Reservation, ReserveStockRequest, SearchProductsRequest, SearchProductsResponse,
    UpdateProductRequest, Variant,
};
use selvage_status::{Error, ErrorCode, Result};
use tonic::{Request, Response, Status};

use super::parse::{Asked, listing};
use super::{convert, parse};
use crate::domain::stock::State;
use crate::index::{Index, NoPage, Page};
use crate::meter;
use crate::store::{Adjusted, Put, Refused, Store};

/// From when on the lapse may forget a reservation that was given back before it came: longer than any request is on its
/// way.
const TOMBSTONE_MS: i64 = 24 * 3600 * 1000;

/// How far behind the database the index may be before it is said: usual are some tenths of a second, and a second or two on a
/// machine that is busy.
const OLD: Duration = Duration::from_secs(5);

/// The rpcs.
pub(crate) struct Server {
    pub(crate) store: Store,
    pub(crate) index: Index,
    pub(crate) clock: Clock,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Catalogue for Server {
    async fn list_products(&self, request: Request<ListProductsRequest>) -> Answer<ListProductsResponse> {
        caller(&request)?;
        let (page, token) = self.page(request.into_inner().into()).await?;
        Ok(Response::new(ListProductsResponse {
            products: page.products.into_iter().map(convert::summary).collect(),
            next_page_token: token,
            total_size: convert::count(page.total),
            facets: page.facets.map(convert::facets),
            may_be_old: self.may_be_old(),
        }))
    }

    async fn search_products(&self, request: Request<SearchProductsRequest>) -> Answer<SearchProductsResponse> {
        caller(&request)?;
        let (page, token) = self.page(request.into_inner().into()).await?;
        Ok(Response::new(SearchProductsResponse {
            products: page.products.into_iter().map(convert::summary).collect(),
            next_page_token: token,
            total_size: convert::count(page.total),
            facets: page.facets.map(convert::facets),
            left_out_words: page.left_out,
            corrected_query: page.corrected.unwrap_or_default(),
            may_be_old: self.may_be_old(),
        }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<Product> {
        caller(&request)?;
        let slug = request.into_inner().slug;
        parse::slug("slug", &slug)?;
        Ok(Response::new(self.product(&slug).await?))
    }

    async fn batch_get_products(&self, request: Request<BatchGetProductsRequest>) -> Answer<BatchGetProductsResponse> {
        caller(&request)?;
        let skus = request.into_inner().skus;
        parse::skus(&skus)?;
        let found = self.store.variant_list(&skus).await.map_err(Error::from)?;
        let mut found: HashMap<_, _> =
            found.into_iter().map(|found| (found.variant.variant.sku.clone(), found)).collect();
        let mut response = BatchGetProductsResponse::default();
        for sku in skus {
            match found.remove(&sku) {
                Some(variant) => response.variants.push(convert::product_variant(variant)),
                None if response.variants.iter().any(|known| is_of(known, &sku)) => {}
                None => response.missing_skus.push(sku),
            }
        }
        Ok(Response::new(response))
    }

    async fn list_categories(&self, request: Request<ListCategoriesRequest>) -> Answer<ListCategoriesResponse> {
        caller(&request)?;
        let categories = self.store.category_list().await.map_err(Error::from)?;
        let categories = categories.into_iter().map(convert::category).collect();
        Ok(Response::new(ListCategoriesResponse { categories }))
    }

    async fn reserve_stock(&self, request: Request<ReserveStockRequest>) -> Answer<Reservation> {
        caller(&request)?.require(&[Role::Service])?;
        let parse::ToReserve { id, lines, hold_ms } = parse::to_reserve(request.into_inner())?;
        let expires_at = self.clock.now_ms() + hold_ms;
        match self.store.stock_reserve(id, &lines, expires_at).await.map_err(Error::from)? {
            Ok(reservation) if reservation.state == State::Released => Err(Error::precondition(
                "RESERVATION_RELEASED",
                "this reservation was given back before; its order is undone",
            )
            .into()),
            Ok(reservation) => Ok(Response::new(convert::reservation(reservation))),
            Err(Refused::OtherLines) => {
                Err(Error::new(ErrorCode::AlreadyExists, "this reservation exists, with other lines").into())
            }
            Err(Refused::Short(short)) => {
                meter::out_of_stock();
                Err(out_of_stock(short).into())
            }
        }
    }

    async fn commit_stock(&self, request: Request<CommitStockRequest>) -> Answer<Reservation> {
        caller(&request)?.require(&[Role::Service])?;
        let id = parse::reservation_id(&request.into_inner().reservation_id)?;
        let committed = self.store.stock_commit(id).await.map_err(Error::from)?;
        let reservation = committed.ok_or_else(|| Error::not_found(format!("reservation {id}")))?;
        if reservation.state == State::Released && !reservation.was_committed {
            return Err(Error::precondition("RESERVATION_RELEASED", "this reservation was given back before").into());
        }
        Ok(Response::new(convert::reservation(reservation)))
    }

    async fn release_stock(&self, request: Request<ReleaseStockRequest>) -> Answer<Reservation> {
        caller(&request)?.require(&[Role::Service])?;
        let id = parse::reservation_id(&request.into_inner().reservation_id)?;
        let until = self.clock.now_ms() + TOMBSTONE_MS;
        let released = self.store.stock_release(id, until).await.map_err(Error::from)?;
        Ok(Response::new(convert::reservation(released)))
    }

    async fn create_product(&self, request: Request<CreateProductRequest>) -> Answer<Product> {
        caller(&request)?.require(&[Role::Admin])?;
        let product = request.into_inner().product.unwrap_or_default();
        let product = parse::product(product, self.store.currency())?;
        self.needs_category(&product.category).await?;
        let put = self.store.product_create(&product, self.clock.now_ms()).await.map_err(Error::from)?;
        self.stored(put, &product.slug).await
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Answer<Product> {
        caller(&request)?.require(&[Role::Admin])?;
        let request = request.into_inner();
        let new = request.product.unwrap_or_default();
        let mask = request.update_mask.unwrap_or_default().paths;
        parse::slug("product.slug", &new.slug)?;
        let found = self.store.product_get(&new.slug).await.map_err(Error::from)?;
        let stored = found.ok_or_else(|| Error::not_found(format!("product {}", new.slug)))?;
        if !new.etag.is_empty() && new.etag != stored.etag() {
            return Err(changed().into());
        }
        let version = stored.version;
        // What the mask doesn't name needn't be in the request, and is right already.
        let whole = parse::masked_request(new, &stored, &mask, self.store.currency());
        let new = parse::product(whole, self.store.currency())?;
        let product = parse::masked(stored.product, new, &mask)?;
        self.needs_category(&product.category).await?;
        let now = self.clock.now_ms();
        let put = self.store.product_update(&product, Some(version), now).await.map_err(Error::from)?;
        self.stored(put, &product.slug).await
    }

    async fn adjust_stock(&self, request: Request<AdjustStockRequest>) -> Answer<Variant> {
        caller(&request)?.require(&[Role::Admin])?;
        let parse::Adjustment { request_id, sku, delta } = parse::adjustment(request.into_inner())?;
        let now = self.clock.now_ms();
        match self.store.stock_adjust(request_id, &sku, delta, now).await.map_err(Error::from)? {
            Adjusted::Done(variant) => Ok(Response::new(convert::variant(variant, self.store.currency()))),
            Adjusted::Missing => Err(Error::not_found(format!("SKU {sku}")).into()),
            Adjusted::OtherRequest => {
                Err(Error::new(ErrorCode::AlreadyExists, "this request id was used for another adjustment").into())
            }
            Adjusted::OutOfBounds => Err(Error::precondition(
                "STOCK_OUT_OF_BOUNDS",
                "stock on hand must stay at or above what is set aside, and at or below 1,000,000",
            )
            .into()),
        }
    }
}

fn is_of(known: &selvage_proto::catalogue::v1::ProductVariant, sku: &str) -> bool {
    known.variant.as_ref().is_some_and(|variant| variant.sku == sku)
}

fn changed() -> Error {
    Error::new(ErrorCode::Aborted, "the product has changed since; read it again").reason("PRODUCT_CHANGED")
}

fn out_of_stock(short: Vec<(String, Option<i32>)>) -> Error {
    let error = Error::precondition("OUT_OF_STOCK", "there is too little stock");
    short.into_iter().fold(error, |error, (sku, available)| {
        let why = match available {
            None => "is no longer sold".to_owned(),
            Some(available) if available <= 0 => "is sold out".to_owned(),
            Some(available) => format!("only {available} left"),
        };
        error.violated(sku, why)
    })
}

impl Server {
    fn may_be_old(&self) -> bool {
        self.index.behind().is_none_or(|behind| behind > OLD)
    }

    /// A page, and the token of the next one.
    async fn page(&self, asked: Asked) -> Result<(Page, String)> {
        // A search for nothing that could be a word finds nothing.
        let finds_nothing = asked
            .query
            .as_ref()
            .is_some_and(|text| !text.trim().is_empty() && crate::domain::search::Query::parse(text).is_none());
        let (listing, identity) = listing(asked)?;
        if finds_nothing {
            return Ok(<(Page, String)>::default());
        }
        let page = self.index.page(listing).await.map_err(|why| match why {
            NoPage::Preparing => Error::new(ErrorCode::Unavailable, why.to_string()).reason("CATALOGUE_PREPARING"),
            NoPage::Unreadable(_) => Error::internal(why),
        })?;
        let token = page.next.as_ref().map(|cursor| cursor.token(&identity)).unwrap_or_default();
        Ok((page, token))
    }

    async fn product(&self, slug: &str) -> Result<Product> {
        let found = self.store.product_get(slug).await?;
        found.map(convert::product).ok_or_else(|| Error::not_found(format!("product {slug}")))
    }

    async fn needs_category(&self, slug: &str) -> Result<()> {
        if self.store.category_exists(slug).await? {
            return Ok(());
        }
        Err(Error::invalid("product.category", format!("there is no category '{slug}'")))
    }

    async fn stored(&self, put: Put, slug: &str) -> Answer<Product> {
        match put {
            Put::Done => Ok(Response::new(self.product(slug).await?)),
            Put::SlugTaken => {
                Err(Error::new(ErrorCode::AlreadyExists, format!("there is a product {slug} already")).into())
            }
            Put::SkuTaken(taken) => Err(Error::new(
                ErrorCode::AlreadyExists,
                format!("SKU {} belongs to product {} already", taken.sku, taken.by),
            )
            .into()),
            Put::Changed => Err(changed().into()),
            Put::Missing => Err(Error::not_found(format!("product {slug}")).into()),
        }
    }
}
