//! Properties of every state that an image may find. Compiled for the property tests and the fuzz targets only.

use super::state::State;

/// Reads a state. One that is understood is the same after it was written again.
///
/// # Panics
/// When it isn't.
pub fn state(bytes: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(bytes) else { return };
    let text = serde_json::to_vec(&state).unwrap_or_else(|e| panic!("{state:?} can't be written: {e}"));
    let back: State = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{state:?} can't be read: {e}"));
    assert!(back == state, "{state:?} has become {back:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed of the fuzz target is what version 0.1.0 has written.
    #[test]
    fn a_state_of_a_former_version_is_read() {
        let seed = include_bytes!("../../../fuzz/corpus/state/reload");
        assert!(serde_json::from_slice::<State>(seed).is_ok());
        state(seed);
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for none in [&b""[..], b"{}", b"[1]", b"{\"version\":4}", b"\xff"] {
            state(none);
            assert!(serde_json::from_slice::<State>(none).is_err());
        }
    }
}
