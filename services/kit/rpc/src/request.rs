use selvage_identity::Caller;
use tonic::Request;
use tonic::metadata::MetadataValue;

/// A request that bears `token`.
pub fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    // A token that can't stand in a header is no token of ours; the callee will say that one is needed.
    if let Ok(value) = MetadataValue::try_from(format!("Bearer {token}")) {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// A request in the name of whoever called us.
pub fn on_behalf_of<T>(caller: &Caller, message: T) -> Request<T> {
    with_token(caller.token(), message)
}
