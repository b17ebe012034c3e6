use tonic::Code;

/// Why an rpc failed. Closed: a new way to fail is a decision, made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request is wrong in itself, whatever the state of the shop; each wrong field is named.
    InvalidArgument,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// What was to be made exists, with other content.
    AlreadyExists,
    /// The request is right, but not in the present state; repeating it changes nothing.
    FailedPrecondition,
    /// Somebody else was faster; reading again and repeating may succeed.
    Aborted,
    /// No token, or one that is not valid.
    Unauthenticated,
    /// A valid token that doesn't allow this.
    PermissionDenied,
    /// Too much at once; to be repeated after the time that is named.
    ResourceExhausted,
    /// The caller's time ran out.
    DeadlineExceeded,
    /// A part that is needed can't be reached now.
    Unavailable,
    /// Our fault. The caller learns nothing of it but that.
    Internal,
}

impl ErrorCode {
    /// The gRPC code.
    pub fn grpc(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Aborted => Code::Aborted,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::ResourceExhausted => Code::ResourceExhausted,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Internal => Code::Internal,
        }
    }

    /// What a callee's answer means to its caller. Codes that say the *caller's* request was wrong are our own fault
    /// when our service made that request, unless it chose to pass them on.
    pub fn from_grpc(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::OutOfRange => Self::InvalidArgument,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::DeadlineExceeded | Code::Cancelled => Self::DeadlineExceeded,
            Code::Unavailable => Self::Unavailable,
            Code::Ok | Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Self::Internal,
        }
    }

    /// Whether the same request may succeed a little later, if it may be repeated at all.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Aborted | Self::ResourceExhausted | Self::DeadlineExceeded | Self::Unavailable)
    }

    /// Whether the failure is ours to look into, and so is logged as an error.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Internal)
    }
}
