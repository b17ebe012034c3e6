//! The services, as the pages call them: each call with a visitor's token, within the request's deadline.

use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_proto::cart::v1::{AddItemRequest, CartView, GetCartRequest, RemoveItemRequest, UpdateItemRequest};
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_proto::catalogue::v1::{
    Category, GetProductRequest, ListCategoriesRequest, ListProductsRequest, ListProductsResponse, Product,
    SearchProductsRequest,
};
use selvage_proto::checkout::v1::checkout_client::CheckoutClient;
use selvage_proto::checkout::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, OrderPreview, PlaceOrderRequest,
    PreviewOrderRequest,
};
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_proto::delivery::v1::{GetShipmentRequest, Shipment, Speed, TrackShipmentRequest};
use selvage_rpc::{Channel, with_token};
use tonic::{Status, Streaming};

use crate::settings::Peers;

/// A service's answer, or the status with which it refused or failed.
type Answer<T> = Result<T, Status>;

/// Clients of all services. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shop {
    catalogue: CatalogueClient<Channel>,
    cart: CartClient<Channel>,
    checkout: CheckoutClient<Channel>,
    delivery: DeliveryClient<Channel>,
}

/// What a search found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) listing: ListProductsResponse,
    /// Words that what was found needn't have.
    pub(crate) left_out: Vec<String>,
    /// What was looked for in place of a word that nothing has; empty if it is what was typed.
    pub(crate) corrected: String,
}

impl Shop {
    /// Clients for the channels of `peers`.
    pub(crate) fn new(peers: &Peers) -> Self {
        Self {
            catalogue: CatalogueClient::new(peers.catalogue.clone()),
            cart: CartClient::new(peers.cart.clone()),
            checkout: CheckoutClient::new(peers.checkout.clone()),
            delivery: DeliveryClient::new(peers.delivery.clone()),
        }
    }

    pub(crate) async fn categories(&self, token: &str) -> Answer<Vec<Category>> {
        let request = with_token(token, ListCategoriesRequest {});
        Ok(self.catalogue.clone().list_categories(request).await?.into_inner().categories)
    }

    pub(crate) async fn products(&self, token: &str, request: ListProductsRequest) -> Answer<ListProductsResponse> {
        Ok(self.catalogue.clone().list_products(with_token(token, request)).await?.into_inner())
    }

    /// Searches the catalogue. What is found has the form of a listing, so that one page shows both.
    pub(crate) async fn search(&self, token: &str, request: SearchProductsRequest) -> Answer<Found> {
        let found = self.catalogue.clone().search_products(with_token(token, request)).await?.into_inner();
        let listing = ListProductsResponse {
            products: found.products,
            next_page_token: found.next_page_token,
            total_size: found.total_size,
            facets: found.facets,
            may_be_old: found.may_be_old,
        };
        Ok(Found { listing, left_out: found.left_out_words, corrected: found.corrected_query })
    }

    pub(crate) async fn product(&self, token: &str, slug: &str) -> Answer<Product> {
        let request = with_token(token, GetProductRequest { slug: slug.to_owned() });
        Ok(self.catalogue.clone().get_product(request).await?.into_inner())
    }

    pub(crate) async fn bag(&self, token: &str) -> Answer<CartView> {
        Ok(self.cart.clone().get_cart(with_token(token, GetCartRequest {})).await?.into_inner())
    }

    pub(crate) async fn bag_add(&self, token: &str, request: AddItemRequest) -> Answer<CartView> {
        Ok(self.cart.clone().add_item(with_token(token, request)).await?.into_inner())
    }

    pub(crate) async fn bag_update(&self, token: &str, request: UpdateItemRequest) -> Answer<CartView> {
        Ok(self.cart.clone().update_item(with_token(token, request)).await?.into_inner())
    }

    pub(crate) async fn bag_remove(&self, token: &str, request: RemoveItemRequest) -> Answer<CartView> {
        Ok(self.cart.clone().remove_item(with_token(token, request)).await?.into_inner())
    }

    pub(crate) async fn preview(&self, token: &str, country: &str, speed: Speed) -> Answer<OrderPreview> {
        let request = PreviewOrderRequest { country: country.to_owned(), speed: speed.into() };
        Ok(self.checkout.clone().preview_order(with_token(token, request)).await?.into_inner())
    }

    pub(crate) async fn place(&self, token: &str, request: PlaceOrderRequest) -> Answer<Order> {
        let mut request = with_token(token, request);
        // Longer than the 5 s of a channel's call without deadline; the request's own deadline, 25 s, ends it first.
        request.set_timeout(std::time::Duration::from_secs(30));
        Ok(self.checkout.clone().place_order(request).await?.into_inner())
    }

    pub(crate) async fn order(&self, token: &str, order_id: &str) -> Answer<Order> {
        let request = with_token(token, GetOrderRequest { order_id: order_id.to_owned() });
        Ok(self.checkout.clone().get_order(request).await?.into_inner())
    }

    pub(crate) async fn orders(&self, token: &str, request: ListOrdersRequest) -> Answer<ListOrdersResponse> {
        Ok(self.checkout.clone().list_orders(with_token(token, request)).await?.into_inner())
    }

    pub(crate) async fn cancel(&self, token: &str, order_id: &str) -> Answer<Order> {
        let request = with_token(token, CancelOrderRequest { order_id: order_id.to_owned() });
        Ok(self.checkout.clone().cancel_order(request).await?.into_inner())
    }

    /// The order's shipment; `None` while there is none.
    pub(crate) async fn shipment(&self, token: &str, order_id: &str) -> Answer<Option<Shipment>> {
        let request = with_token(token, GetShipmentRequest { order_id: order_id.to_owned() });
        found(self.delivery.clone().get_shipment(request).await)
    }

    /// The order's shipment now and at each event; `None` while there is none.
    pub(crate) async fn track(&self, token: &str, order_id: &str) -> Answer<Option<Streaming<Shipment>>> {
        let request = with_token(token, TrackShipmentRequest { order_id: order_id.to_owned() });
        found(self.delivery.clone().track_shipment(request).await)
    }
}

fn found<T>(answer: Answer<tonic::Response<T>>) -> Answer<Option<T>> {
    match answer {
        Ok(response) => Ok(Some(response.into_inner())),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}
