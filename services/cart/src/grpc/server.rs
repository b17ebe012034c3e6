//! The rpcs.

use selvage_boot::Host;
use selvage_context::clock::Clock;
use selvage_identity::{Caller, Role, Verifier, caller};
use selvage_proto::cart::v1::cart_server::Cart as CartService;
use selvage_proto::cart::v1::{
    AddItemRequest, CartView, EmptyCartRequest, GetCartRequest, MergeCartsRequest, RemoveItemRequest,
    RemoveOrderedLinesRequest, RemoveOrderedLinesResponse, UpdateItemRequest,
};
use selvage_status::Error;
use tonic::{Request, Response, Status};

use super::parse::{Change, Removal};
use super::{convert, parse};
use crate::Settings;
use crate::catalogue::Catalogue;
use crate::domain::cart::{Cart, CartError};
use crate::domain::offer::Offers;
use crate::store::{KeptCart, Moment, Store};

/// Who has a cart.
const BUYERS: [Role; 2] = [Role::Guest, Role::Customer];

/// The rpcs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    store: Store,
    catalogue: Catalogue,
    settings: Settings,
    clock: Clock,
    verifier: Verifier,
}

impl Server {
    pub(crate) fn new(store: Store, catalogue: Catalogue, settings: Settings, host: &Host) -> Self {
        Self { store, catalogue, settings, clock: host.clock.clone(), verifier: host.verifier.clone() }
    }

    fn moment(&self) -> Moment {
        let now_ms = self.clock.now_ms();
        // The setting is bounded by a year, so neither step can overflow.
        let expiry = i64::try_from(self.settings.expiry.as_millis()).unwrap_or(i64::MAX);
        Moment { now_ms, expire_at: now_ms.saturating_add(expiry) }
    }

    /// The cart with the catalogue's prices: those that are `known` already, unless somebody else put in more meanwhile.
    async fn view(&self, caller: &Caller, kept: &KeptCart, known: Offers) -> Result<CartView, Error> {
        let offers = if known.cover(&kept.cart) {
            known
        } else {
            let skus = kept.cart.lines().iter().map(|line| line.sku.clone()).collect();
            self.catalogue.offers(caller, skus).await?
        };
        Ok(convert::cart(kept, &offers, &self.settings.currency))
    }

    async fn changed<F>(&self, caller: &Caller, etag: Option<&str>, change: F) -> Result<CartView, Error>
    where
        F: Fn(&Cart) -> Result<Cart, CartError> + Send + Sync,
    {
        let kept = self.store.cart_change(caller.subject(), self.moment(), etag, change).await??;
        self.view(caller, &kept, Offers::default()).await
    }

    async fn get(&self, caller: &Caller) -> Result<CartView, Error> {
        let kept = self.store.cart_get(caller.subject(), self.clock.now_ms()).await?;
        self.view(caller, &kept, Offers::default()).await
    }

    /// One call names the new SKU and prices the lines that are in the cart, so the view needs no second one.
    async fn add(&self, caller: &Caller, change: Change) -> Result<CartView, Error> {
        let Change { sku, quantity, etag } = change;
        let before = self.store.cart_get(caller.subject(), self.clock.now_ms()).await?;
        let mut skus: Vec<_> = before.cart.lines().iter().map(|line| line.sku.clone()).collect();
        if !skus.contains(&sku) {
            skus.push(sku.clone());
        }
        let offers = self.catalogue.offers(caller, skus).await?;
        if offers.get(&sku).is_none() {
            return Err(Error::not_found(format_args!("SKU {}", sku.as_str())));
        }
        let add = |cart: &Cart| cart.add(&sku, quantity);
        let kept = self.store.cart_change(caller.subject(), self.moment(), etag.as_deref(), add).await??;
        self.view(caller, &kept, offers).await
    }

    async fn merge(&self, caller: &Caller, request: &MergeCartsRequest) -> Result<CartView, Error> {
        let guest = self.verifier.verify(&request.guest_token).ok().filter(|guest| guest.role() == Role::Guest);
        let guest = guest.ok_or_else(|| Error::invalid("guest_token", "is not a guest's valid token"))?;
        let kept = self.store.cart_merge(guest.subject(), caller.subject(), self.moment()).await?;
        self.view(caller, &kept, Offers::default()).await
    }
}

#[tonic::async_trait]
impl CartService for Server {
    async fn get_cart(&self, request: Request<GetCartRequest>) -> Result<Response<CartView>, Status> {
        let caller = buyer(&request)?;
        Ok(Response::new(self.get(caller).await?))
    }

    async fn add_item(&self, request: Request<AddItemRequest>) -> Result<Response<CartView>, Status> {
        let caller = buyer(&request)?;
        let change = parse::add_item(request.get_ref())?;
        Ok(Response::new(self.add(caller, change).await?))
    }

    async fn update_item(&self, request: Request<UpdateItemRequest>) -> Result<Response<CartView>, Status> {
        let caller = buyer(&request)?;
        let Change { sku, quantity, etag } = parse::update_item(request.get_ref())?;
        let update = |cart: &Cart| cart.update(&sku, quantity);
        Ok(Response::new(self.changed(caller, etag.as_deref(), update).await?))
    }

    async fn remove_item(&self, request: Request<RemoveItemRequest>) -> Result<Response<CartView>, Status> {
        let caller = buyer(&request)?;
        let Change { sku, etag, .. } = parse::remove_item(request.get_ref())?;
        let remove = |cart: &Cart| Ok(cart.remove(&sku));
        Ok(Response::new(self.changed(caller, etag.as_deref(), remove).await?))
    }

    async fn empty_cart(&self, request: Request<EmptyCartRequest>) -> Result<Response<CartView>, Status> {
        let caller = buyer(&request)?;
        let etag = parse::empty_cart(request.get_ref())?;
        Ok(Response::new(self.changed(caller, etag.as_deref(), |_| Ok(Cart::default())).await?))
    }

    async fn merge_carts(&self, request: Request<MergeCartsRequest>) -> Result<Response<CartView>, Status> {
        let caller = caller(&request)?;
        caller.require(&[Role::Customer])?;
        Ok(Response::new(self.merge(caller, request.get_ref()).await?))
    }

    async fn remove_ordered_lines(
        &self,
        request: Request<RemoveOrderedLinesRequest>,
    ) -> Result<Response<RemoveOrderedLinesResponse>, Status> {
        caller(&request)?.require(&[Role::Service])?;
        let Removal { order_id, owner, lines } = parse::remove_ordered_lines(request.get_ref())?;
        self.store.cart_remove_ordered(order_id, &owner, &lines, self.moment()).await.map_err(Error::from)?;
        Ok(Response::new(RemoveOrderedLinesResponse {}))
    }
}

fn buyer<T>(request: &Request<T>) -> Result<&Caller, Error> {
    let caller = caller(request)?;
    caller.require(&BUYERS)?;
    Ok(caller)
}
