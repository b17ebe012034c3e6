//! What delivery refuses, as the caller learns it.

use selvage_status::{Error, ErrorCode};

use crate::domain::shipment::{OnItsWay, OtherContent};

impl From<OtherContent> for Error {
    fn from(error: OtherContent) -> Self {
        Self::new(ErrorCode::AlreadyExists, error.to_string())
    }
}

impl From<OnItsWay> for Error {
    fn from(error: OnItsWay) -> Self {
        Self::precondition("SHIPMENT_ON_ITS_WAY", error.to_string())
    }
}
