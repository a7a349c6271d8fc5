//! What PyTorch wrote before 1.6: five pickles one after the other (a magic number, a version, the
//! sizes of C types, the state dict, the keys of its storages), and then the storages: for each the
//! count of its numbers in eight bytes, and the numbers.

use std::collections::HashMap;

use super::pickle::{self, Pickled, Ref, Value};
use super::tensors::{self, Storage};
use super::{Fault, StateDict};

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

pub(super) fn read(file: &[u8]) -> Result<StateDict, Fault> {
    let not_one = || Fault::unreadable("it is neither a zip archive nor an old state dict");
    // PROTO 2, LONG1 of ten bytes, the number, STOP.
    let rest = file
        .strip_prefix(&[0x80, 2, 0x8a, 10])
        .ok_or_else(not_one)?;
    let rest = rest
        .strip_prefix(&MAGIC)
        .and_then(|rest| rest.strip_prefix(b"."));
    let mut rest = rest.ok_or_else(not_one)?;
    let mut next = || {
        let pickled = pickle::run(rest)?;
        rest = &rest[pickled.len..];
        Ok::<Pickled, Fault>(pickled)
    };
    let (_version, system) = (next()?, next()?);
    if !is_little_endian(&system) {
        return Err(Fault::unreadable("its numbers begin with the highest byte"));
    }
    let (state, keys) = (next()?, next()?);
    let storages = storages(&state, &keys, file, file.len() - rest.len())?;
    tensors::state_dict(&state, |key| storages.get(key).copied())
}

fn is_little_endian(system: &Pickled) -> bool {
    let pairs = system.pairs(system.result).unwrap_or_default();
    let found = pairs
        .iter()
        .find(|(key, _)| system.text(*key) == Some("little_endian"));
    found.is_none_or(|(_, value)| *system.get(*value) != Value::Bool(false))
}

fn storages(
    state: &Pickled,
    keys: &Pickled,
    file: &[u8],
    mut at: usize,
) -> Result<HashMap<String, Storage>, Fault> {
    let sizes = element_sizes(state);
    let mut found = HashMap::new();
    for key in keys.items(keys.result).unwrap_or_default() {
        let place = || {
            let key = keys.text(*key)?;
            let count = file.get(at..)?.first_chunk::<8>()?;
            let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
            let (start, bytes) = (at + 8, count.checked_mul(*sizes.get(key)?)?);
            (start.checked_add(bytes)? <= file.len()).then_some((key, Storage { start, bytes }))
        };
        let (key, storage) = place().ok_or_else(|| Fault::unreadable("a storage is cut short"))?;
        at = storage.start + storage.bytes;
        found.insert(key.to_owned(), storage);
    }
    Ok(found)
}

/// Bytes of one number of each storage, which only those say that refer to it.
fn element_sizes(state: &Pickled) -> HashMap<String, usize> {
    let size = |id: Ref| {
        let [_, kind, key, ..] = state.items(id)? else {
            return None;
        };
        let Value::Global(pickle::Global::Storage(kind)) = state.get(*kind) else {
            return None;
        };
        let key = state.text(*key)?.to_owned();
        Some((key, tensors::element(kind).1))
    };
    state.persistent().filter_map(size).collect()
}
