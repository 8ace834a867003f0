//! `log.request_id`: the ids of each request.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};

use crate::config::PoolConfig;
use crate::fastcgi::params::Params;
use crate::request_ids::{RequestId, RequestIds, TraceContext};
use crate::sys::{clock, random};

/// Digits of an id that is made here.
const DIGITS: usize = 32;
/// Ids that are made of one call for random bytes.
const BATCH: usize = 32;
const BYTES: usize = size_of::<u128>();

/// Finds or makes the ids of requests.
pub(super) struct Identification {
    /// The parameter that has the request's id.
    parameter: Vec<u8>,
    random: RandomNumbers,
}

impl Identification {
    /// For a worker of that pool. `None`: requests get no ids.
    pub(super) fn new(pool: &PoolConfig) -> Option<Self> {
        let parameter = pool.log_request_id.clone()?.into_bytes();
        Some(Self { parameter, random: RandomNumbers::new(random::fill) })
    }

    /// Room for the parameter with an id that is made here.
    pub(super) fn room(&self) -> usize {
        self.parameter.len() + DIGITS + 2
    }

    /// The ids of a request that has arrived. If its parameter is missing or not acceptable, an id is made and takes its place.
    pub(super) fn identify(&self, params: &mut Params) -> RequestIds {
        let request = params.get(&self.parameter).and_then(RequestId::accept).unwrap_or_else(|| {
            let made = RequestId::of_number(self.random.next());
            params.set(&self.parameter, made.as_bytes());
            made
        });
        RequestIds { request, trace: params.get(b"HTTP_TRACEPARENT").and_then(TraceContext::parse) }
    }
}

/// Random numbers, many of each call of the system.
struct RandomNumbers {
    fill: fn(&mut [u8]) -> std::io::Result<()>,
    numbers: RefCell<[u128; BATCH]>,
    left: Cell<usize>,
}

impl RandomNumbers {
    fn new(fill: fn(&mut [u8]) -> std::io::Result<()>) -> Self {
        Self { fill, numbers: RefCell::new([0; BATCH]), left: Cell::new(0) }
    }

    fn next(&self) -> u128 {
        if self.left.get() == 0 {
            self.numbers.replace(self.batch());
            self.left.set(BATCH);
        }
        let left = self.left.get() - 1;
        self.left.set(left);
        self.numbers.borrow().get(left).copied().unwrap_or_default()
    }

    fn batch(&self) -> [u128; BATCH] {
        let mut bytes = [0; BATCH * BYTES];
        match (self.fill)(&mut bytes) {
            Ok(()) => std::array::from_fn(|at| {
                let number = bytes.get(at * BYTES..).and_then(|rest| rest.first_chunk());
                number.copied().map(u128::from_ne_bytes).unwrap_or_default()
            }),
            // The system refuses them (a seccomp filter). Ids have to differ; nothing depends on their being random.
            Err(_) => {
                let base = u128::from(std::process::id()) << 96 | u128::from(clock::wall()) << 32;
                std::array::from_fn(|at| base | at as u128)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io;

    use super::*;

    fn numbers(fill: fn(&mut [u8]) -> io::Result<()>) -> usize {
        let source = RandomNumbers::new(fill);
        let mut seen = HashSet::new();
        for _ in 0..3 {
            (0..BATCH).for_each(|_| _ = seen.insert(source.next()));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        seen.len()
    }

    #[test]
    fn no_number_comes_twice() {
        assert_eq!(numbers(random::fill), 3 * BATCH);
        assert_eq!(numbers(|_| Err(io::ErrorKind::PermissionDenied.into())), 3 * BATCH);
    }
}
