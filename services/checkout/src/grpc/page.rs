//! Page tokens: opaque to callers, and refused when they aren't ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use selvage_status::{Error, Result};
use uuid::Uuid;

/// Says where the next page of orders begins: behind this one.
pub(super) fn of_order(created_at: i64, id: Uuid) -> String {
    let mut bytes = [0_u8; 24];
    bytes[..8].copy_from_slice(&created_at.to_be_bytes());
    bytes[8..].copy_from_slice(id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn order(token: &str) -> Result<Option<(i64, Uuid)>> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes: [u8; 24] = decode(token)?;
    let (created_at, id) = bytes.split_at(8);
    let created_at = i64::from_be_bytes(created_at.try_into().map_err(|_| wrong())?);
    Ok(Some((created_at, Uuid::from_slice(id).map_err(|_| wrong())?)))
}

/// Says where the next page of dead letters begins.
pub(super) fn of_position(position: i64) -> String {
    URL_SAFE_NO_PAD.encode(position.to_be_bytes())
}

pub(super) fn position(token: &str) -> Result<i64> {
    if token.is_empty() { Ok(0) } else { Ok(i64::from_be_bytes(decode(token)?)) }
}

/// The page size that is meant: 0 means `default`, more than 100 is 100.
pub(super) fn size(asked: i32, default: u64) -> Result<u64> {
    match u64::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(asked) => Ok(asked.min(100)),
        Err(_) => Err(Error::invalid("page_size", format!("must be 0 to 100, is {asked}"))),
    }
}

fn decode<const N: usize>(token: &str) -> Result<[u8; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| wrong())?;
    bytes.try_into().map_err(|_| wrong())
}

fn wrong() -> Error {
    Error::invalid("page_token", "isn't one of ours; begin again without it")
}
