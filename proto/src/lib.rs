//! The protocol buffers of Selvage's services. The `.proto` files are the documentation of the API; this crate compiles
//! them and offers, behind a feature each, the client and the server of every service.

#![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, unreachable_pub)] // generated code

pub mod money;
mod rpcs;
pub mod time;

pub use rpcs::{is_idempotent, is_rpc, rpc, rpcs};

/// Products, prices and stock.
pub mod catalogue {
    pub mod v1 {
        tonic::include_proto!("selvage.catalogue.v1");
    }
}

/// Carts.
pub mod cart {
    pub mod v1 {
        tonic::include_proto!("selvage.cart.v1");
    }
}

/// Orders and payments.
pub mod checkout {
    pub mod v1 {
        tonic::include_proto!("selvage.checkout.v1");
    }
}

/// Quotes, shipments and tracking.
pub mod delivery {
    pub mod v1 {
        tonic::include_proto!("selvage.delivery.v1");
    }
}

/// A process's pools and faults.
pub mod operations {
    pub mod v1 {
        tonic::include_proto!("selvage.operations.v1");
    }
}

/// The connections that a process may hold.
pub mod pool {
    pub mod v1 {
        tonic::include_proto!("selvage.pool.v1");
    }
}

/// The descriptors of all files, encoded, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
