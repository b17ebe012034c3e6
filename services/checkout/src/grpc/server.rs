use selvage_identity::{Caller, Role, caller};
use selvage_outbox::DeadLetter as StoredLetter;
use selvage_proto::checkout::v1::checkout_server::Checkout;
use selvage_proto::checkout::v1::{
    BatchGetOrderStatesRequest, BatchGetOrderStatesResponse, CancelOrderRequest, DeadLetter, DiscardDeadLetterRequest,
    GetOrderRequest, ListDeadLettersRequest, ListDeadLettersResponse, ListOrdersRequest, ListOrdersResponse, Order,
    OrderPreview, OrderState, PlaceOrderRequest, PreviewOrderRequest, RefundOrderRequest, RetryDeadLetterRequest,
};
use selvage_status::{Error, Result};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{convert, page, parse};
use crate::domain::order::{self, Asked};
use crate::saga::{Destination, Placing, Topic, bag, cancelling, order_of, quote, refunding, settlement};
use crate::store::Change;

/// Buyers, as opposed to those who run the shop.
const BUYERS: [Role; 2] = [Role::Guest, Role::Customer];
const MAX_STATES: usize = 100;

/// The rpcs.
pub(crate) struct Server {
    pub(crate) placing: Placing,
    /// Makes the ids of orders, in the order of time.
    pub(crate) new_id: fn() -> Uuid,
}

type Answer<T> = std::result::Result<Response<T>, Status>;

#[tonic::async_trait]
impl Checkout for Server {
    async fn preview_order(&self, request: Request<PreviewOrderRequest>) -> Answer<OrderPreview> {
        let caller = caller(&request)?.clone();
        caller.require(&BUYERS)?;
        let request = request.into_inner();
        let (country, speed) = parse::preview(&request)?;
        Ok(Response::new(self.preview(&caller, country, speed).await?))
    }

    async fn place_order(&self, request: Request<PlaceOrderRequest>) -> Answer<Order> {
        let caller = caller(&request)?.clone();
        caller.require(&BUYERS)?;
        let intent = parse::intent(request.into_inner())?;
        let order = self.placing.place(caller, intent, (self.new_id)()).await?;
        Ok(Response::new(convert::order(&order)))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<Order> {
        let caller = caller(&request)?.clone();
        let order = self.visible(&caller, &request.into_inner().order_id).await?;
        Ok(Response::new(convert::order(&order)))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<ListOrdersResponse> {
        let caller = caller(&request)?.clone();
        let request = request.into_inner();
        let size = page::size(request.page_size, 20)?;
        let after = page::order(&request.page_token)?;
        let mut orders = self.placing.store.order_list(caller.subject(), after, size + 1).await.map_err(Error::from)?;
        let more = orders.len() as u64 > size;
        orders.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = orders.last().filter(|_| more);
        let next_page_token = last.map(|order| page::of_order(order.created_at, order.what.id)).unwrap_or_default();
        Ok(Response::new(ListOrdersResponse { orders: orders.iter().map(convert::order).collect(), next_page_token }))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Answer<Order> {
        let caller = caller(&request)?.clone();
        let order = self.visible(&caller, &request.into_inner().order_id).await?;
        let order = match order.state.asked_to_cancel() {
            Asked::TooLate => {
                let message = "the parcel is on its way; send it back as soon as it is there";
                return Err(Error::precondition("TOO_LATE_TO_CANCEL", message).into());
            }
            asked => self.advance(order, asked, cancelling).await?,
        };
        Ok(Response::new(convert::order(&order)))
    }

    async fn refund_order(&self, request: Request<RefundOrderRequest>) -> Answer<Order> {
        let caller = caller(&request)?.clone();
        caller.require(&[Role::Admin])?;
        let order = self.visible(&caller, &request.into_inner().order_id).await?;
        let asked = order.state.asked_to_refund();
        let order = self.advance(order, asked, refunding).await?;
        Ok(Response::new(convert::order(&order)))
    }

    async fn batch_get_order_states(
        &self,
        request: Request<BatchGetOrderStatesRequest>,
    ) -> Answer<BatchGetOrderStatesResponse> {
        caller(&request)?.require(&[Role::Service])?;
        let ids = request.into_inner().order_ids;
        if !(1..=MAX_STATES).contains(&ids.len()) {
            return Err(Error::invalid("order_ids", format!("must be 1 to {MAX_STATES}, are {}", ids.len())).into());
        }
        let parsed: Result<Vec<_>> =
            ids.iter().enumerate().map(|(index, id)| parse::uuid(&format!("order_ids[{index}]"), id)).collect();
        let states = self.placing.store.order_list_states(parsed?).await.map_err(Error::from)?;
        let orders = states
            .into_iter()
            .map(|(id, state)| OrderState { order_id: id.to_string(), state: convert::state(state).into() })
            .collect();
        Ok(Response::new(BatchGetOrderStatesResponse { orders }))
    }

    async fn list_dead_letters(&self, request: Request<ListDeadLettersRequest>) -> Answer<ListDeadLettersResponse> {
        caller(&request)?.require(&[Role::Admin])?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50)?;
        let after = page::position(&request.page_token)?;
        let mut letters = self.placing.store.dead_letters(after, size + 1).await.map_err(Error::from)?;
        let more = letters.len() as u64 > size;
        letters.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        let last = letters.last().filter(|_| more);
        let next_page_token = last.map(|letter| page::of_position(letter.position)).unwrap_or_default();
        let dead_letters = letters.iter().map(convert::dead_letter).collect();
        Ok(Response::new(ListDeadLettersResponse { dead_letters, next_page_token }))
    }

    async fn retry_dead_letter(&self, request: Request<RetryDeadLetterRequest>) -> Answer<DeadLetter> {
        caller(&request)?.require(&[Role::Admin])?;
        let position = parse::message_id(&request.into_inner().message_id)?;
        let now = self.placing.clock.now_ms();
        let letter = self.placing.store.dead_letter_retry(position, now).await.map_err(Error::from)?;
        self.placing.kick.now();
        let letter = letter.ok_or_else(|| Error::not_found(format!("dead letter {position}")))?;
        Ok(Response::new(convert::dead_letter(&letter)))
    }

    async fn discard_dead_letter(&self, request: Request<DiscardDeadLetterRequest>) -> Answer<DeadLetter> {
        let caller = caller(&request)?.clone();
        caller.require(&[Role::Admin])?;
        let position = parse::message_id(&request.into_inner().message_id)?;
        let (store, now) = (&self.placing.store, self.placing.clock.now_ms());
        let left_undone = |letter: &StoredLetter| {
            let outcome = Topic::from_word(&letter.topic).and_then(Topic::left_undone)?;
            Some(settlement(order_of(letter), outcome))
        };
        let letter = store.dead_letter_discard(position, left_undone, now).await.map_err(Error::from)?;
        self.placing.kick.now();
        let letter = letter.ok_or_else(|| Error::not_found(format!("dead letter {position}")))?;
        let (order, topic, by) = (order_of(&letter), &letter.topic, caller.subject());
        tracing::warn!(%order, topic, position, by, "a dead letter was discarded: what it asks for will not be done");
        Ok(Response::new(convert::dead_letter(&letter)))
    }
}

impl Server {
    async fn preview(&self, caller: &Caller, country: &str, speed: order::Speed) -> Result<OrderPreview> {
        let shop = &self.placing.shop;
        let bag = bag(shop, caller).await?;
        let quote = quote(shop, caller, &bag, Destination::Country(country), speed).await?;
        Ok(OrderPreview {
            lines: convert::lines(&bag.lines, &bag.currency),
            delivery_options: quote.options,
            amounts: Some(convert::amounts(&quote.amounts)),
            cart_etag: bag.etag,
        })
    }

    /// The order, if the caller may know of it.
    async fn visible(&self, caller: &Caller, id: &str) -> Result<order::Order> {
        let found = self.placing.store.order_get(parse::uuid("order_id", id)?).await?;
        found.filter(|order| caller.may_see(&order.what.owner)).ok_or_else(|| Error::not_found(format!("order {id}")))
    }

    /// Takes an order to where it was asked to go, if it isn't there, with what follows from that.
    async fn advance(&self, order: order::Order, asked: Asked, change: fn(Uuid) -> Change) -> Result<order::Order> {
        let (store, id, now) = (&self.placing.store, order.what.id, self.placing.clock.now_ms());
        let advanced = match asked {
            Asked::Before => return Ok(order),
            Asked::Becomes(to) => store.order_advance(id, (order.state, to), &change(id), now).await?,
            Asked::TooLate | Asked::WrongState => false,
        };
        if !advanced {
            let message = format!("the order is {}, and only a confirmed one can be", order.state.word());
            return Err(Error::precondition("WRONG_STATE", message).with("state", order.state.word()));
        }
        self.placing.kick.now();
        store.order_get(id).await?.ok_or_else(|| Error::not_found(format!("order {id}")))
    }
}
