//! The rpcs.

use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use selvage_boot::{Host, Life};
use selvage_context::clock::Clock;
use selvage_identity::{Caller, Role, caller};
use selvage_proto::delivery::v1::delivery_server::Delivery;
use selvage_proto::delivery::v1::{
    CancelShipmentRequest, CreateShipmentRequest, GetShipmentRequest, QuoteDeliveryRequest, QuoteDeliveryResponse,
    Shipment as ProtoShipment, TrackShipmentRequest,
};
use selvage_status::Error;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{convert, parse};
use crate::Settings;
use crate::domain::country::Country;
use crate::domain::quote::quote;
use crate::domain::shipment::Shipment;
use crate::store::Store;
use crate::tracking::{Tracking, updates};

/// The rpcs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    store: Store,
    tracking: Tracking,
    settings: Settings,
    clock: Clock,
    life: Life,
}

impl Server {
    pub(crate) fn new(store: Store, tracking: Tracking, settings: Settings, host: &Host) -> Self {
        Self { store, tracking, settings, clock: host.clock.clone(), life: host.life.clone() }
    }

    /// The shipment of an order, if the caller may know of it.
    async fn shipment(&self, caller: &Caller, order_id: Uuid) -> Result<Shipment, Error> {
        let found = self.store.shipment_get(order_id).await?;
        found.filter(|shipment| caller.may_see(shipment.owner())).ok_or_else(|| Error::not_found("such shipment"))
    }

    fn quote(&self, request: &QuoteDeliveryRequest) -> Result<QuoteDeliveryResponse, Error> {
        let goods = parse::goods(request, &self.settings.currency)?;
        let country = served(&goods.country)?;
        let options = quote(country.zone, goods.grams, goods.subtotal, self.settings.free_delivery_from);
        let options = options.iter().map(|option| convert::option(option, &self.settings.currency)).collect();
        Ok(QuoteDeliveryResponse { options })
    }

    async fn create(&self, request: CreateShipmentRequest) -> Result<ProtoShipment, Error> {
        let consignment = parse::consignment(request)?;
        served(&consignment.address.country)?;
        let now_ms = self.clock.now_ms();
        let step_ms = i64::try_from(self.settings.carrier_step.as_millis()).unwrap_or(i64::MAX);
        let shipment = self.store.shipment_create(&consignment, now_ms, now_ms.saturating_add(step_ms)).await??;
        Ok(convert::shipment(&shipment))
    }

    async fn cancel(&self, order_id: Uuid) -> Result<ProtoShipment, Error> {
        let shipment = self.store.shipment_cancel(order_id, self.clock.now_ms()).await??;
        Ok(convert::shipment(&shipment))
    }
}

fn served(country: &str) -> Result<&'static Country, Error> {
    Country::served(country).ok_or_else(|| {
        Error::precondition("COUNTRY_NOT_SERVED", format!("nothing is delivered to {country}")).with("country", country)
    })
}

#[tonic::async_trait]
impl Delivery for Server {
    async fn quote_delivery(
        &self,
        request: Request<QuoteDeliveryRequest>,
    ) -> Result<Response<QuoteDeliveryResponse>, Status> {
        caller(&request)?;
        Ok(Response::new(self.quote(request.get_ref())?))
    }

    async fn create_shipment(
        &self,
        request: Request<CreateShipmentRequest>,
    ) -> Result<Response<ProtoShipment>, Status> {
        caller(&request)?.require(&[Role::Service])?;
        Ok(Response::new(self.create(request.into_inner()).await?))
    }

    async fn get_shipment(&self, request: Request<GetShipmentRequest>) -> Result<Response<ProtoShipment>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        let shipment = self.shipment(caller(&request)?, order_id).await?;
        Ok(Response::new(convert::shipment(&shipment)))
    }

    type TrackShipmentStream = Pin<Box<dyn Stream<Item = Result<ProtoShipment, Status>> + Send>>;

    async fn track_shipment(
        &self,
        request: Request<TrackShipmentRequest>,
    ) -> Result<Response<Self::TrackShipmentStream>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        // First the watcher, then the reading: what happens between the two is seen twice rather than never.
        let watcher = self.tracking.watch(order_id)?;
        let shipment = self.shipment(caller(&request)?, order_id).await?;
        let ended = Box::pin(self.life.stopping());
        let updates = updates(shipment, watcher, ended).map(|shipment| Ok(convert::shipment(&shipment)));
        Ok(Response::new(Box::pin(updates)))
    }

    async fn cancel_shipment(
        &self,
        request: Request<CancelShipmentRequest>,
    ) -> Result<Response<ProtoShipment>, Status> {
        caller(&request)?.require(&[Role::Service])?;
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        Ok(Response::new(self.cancel(order_id).await?))
    }
}
