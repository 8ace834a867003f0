//! Limits of a request's parameters, and why a connection can't be read any further.

use crate::fastcgi::params::BadPairs;
use crate::fastcgi::record::RecordType;

/// How much a request's parameters may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamsLimits {
    /// Bytes of all names, values and their lengths.
    pub bytes: usize,
    /// Pairs.
    pub pairs: usize,
}

impl Default for ParamsLimits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, pairs: 2048 }
    }
}

/// Why a connection can't be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("not FastCGI 1.0 (version byte {0})")]
    Version(u8),
    #[error("FCGI_BEGIN_REQUEST of {0} bytes")]
    BeginLength(u16),
    #[error("{0:?} record without a request id")]
    NoId(RecordType),
    #[error("{0:?} record out of order")]
    OutOfOrder(RecordType),
    #[error("malformed FCGI_GET_VALUES")]
    GetValues,
    #[error("more than {0} bytes of parameters")]
    ParamsTooLarge(usize),
    #[error(transparent)]
    Params(#[from] BadPairs),
}
