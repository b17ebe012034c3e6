//! Asking the catalogue what a cart's lines are and cost.

use std::collections::HashMap;

use selvage_identity::Caller;
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_proto::catalogue::v1::{BatchGetProductsRequest, ProductVariant};
use selvage_rpc::{Channel, on_behalf_of};
use selvage_status::{Error, Result};

use crate::domain::cart::Sku;
use crate::domain::offer::{Offer, Offers};

/// The longest answer: 51 SKUs of about 1 KiB, with room for long titles and addresses.
const MAX_ANSWER: usize = 256 * 1024;

/// The catalogue, as a cart needs it.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    client: CatalogueClient<Channel>,
    /// The shop's currency: what is priced in another one can't be bought here.
    currency: String,
}

impl Catalogue {
    pub(crate) fn new(channel: Channel, currency: String) -> Self {
        Self { client: CatalogueClient::new(channel).max_decoding_message_size(MAX_ANSWER), currency }
    }

    /// What the catalogue offers of `skus`, asked in the caller's name. No SKUs, no call; else one, as no cart has more
    /// than 50 lines and the catalogue answers 100 SKUs at a time.
    pub(crate) async fn offers(&self, caller: &Caller, skus: Vec<Sku>) -> Result<Offers> {
        if skus.is_empty() {
            return Ok(Offers::default());
        }
        let request = BatchGetProductsRequest { skus: skus.iter().map(|sku| sku.as_str().to_owned()).collect() };
        let answer = self.client.clone().batch_get_products(on_behalf_of(caller, request)).await?.into_inner();
        let mut answers: HashMap<_, _> = skus.into_iter().map(|sku| (sku, None)).collect();
        for found in answer.variants {
            let (sku, offer) = self.offer(found)?;
            answers.insert(sku, offer);
        }
        Ok(Offers::new(answers))
    }

    /// What the answer says of a SKU. Without a price, or with a SKU that is none, it says nothing that a line could be priced
    /// by: a mistake of ours, not something that is no longer sold.
    fn offer(&self, found: ProductVariant) -> Result<(Sku, Option<Offer>)> {
        let variant = found.variant.ok_or_else(|| Error::internal("the catalogue answered without a variant"))?;
        let sku = Sku::parse(&variant.sku)
            .ok_or_else(|| Error::internal(format!("the catalogue answered with '{}' as a SKU", variant.sku)))?;
        let price = variant
            .price
            .ok_or_else(|| Error::internal(format!("the catalogue answered without a price of {}", sku.as_str())))?;
        if price.currency != self.currency {
            tracing::warn!(sku = variant.sku, currency = price.currency, "a price in another currency than the shop's");
            return Ok((sku, None));
        }
        let picture_key = found.picture.map_or_else(String::new, |picture| {
            [&picture.garment, &picture.cut, &picture.pattern, &variant.colour_hex, &picture.accent]
                .map(String::as_str)
                .join(".")
        });
        let offer = Offer {
            slug: found.slug,
            title: found.title,
            size: variant.size,
            colour: variant.colour,
            unit_price: price.minor_units,
            available: variant.available.max(0),
            image_url: found.image_url,
            picture_key,
            grams: variant.grams,
        };
        Ok((sku, Some(offer)))
    }
}
