//! What PyTorch writes since 1.6: a zip archive with a pickle and a member for each storage, stored
//! as they are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::tensors::{self, Storage};
use super::{Fault, StateDict, pickle};

/// Names, shapes and places of tensors; no model needs as much.
const LARGEST_PICKLE: u64 = 256 << 20;

pub(super) fn read(file: &[u8]) -> Result<StateDict, Fault> {
    let broken = |error: zip::result::ZipError| Fault::unreadable(format!("the archive: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(broken)?;
    let names = archive.file_names().filter_map(Result::ok);
    let name = names.map(Cow::into_owned).find(|name| is_pickle(name));
    let name = name.ok_or_else(|| Fault::unreadable("the archive has no data.pkl"))?;
    let folder = name.trim_end_matches("data.pkl").to_owned();

    let mut program = Vec::new();
    let member = archive.by_name(&name).map_err(broken)?;
    member
        .take(LARGEST_PICKLE)
        .read_to_end(&mut program)
        .map_err(|error| Fault::unreadable(format!("data.pkl: {error}")))?;
    if let Ok(mut order) = archive.by_name(&format!("{folder}byteorder")) {
        let mut text = [0; 3];
        if order.read_exact(&mut text).is_ok() && text == *b"big" {
            return Err(Fault::unreadable("its numbers begin with the highest byte"));
        }
    }
    let storages = storages(&mut archive, &folder, file.len())?;
    let pickled = pickle::run(&program)?;
    tensors::state_dict(&pickled, |key| storages.get(key).copied())
}

fn is_pickle(name: &str) -> bool {
    name == "data.pkl" || name.ends_with("/data.pkl")
}

fn storages(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    folder: &str,
    len: usize,
) -> Result<HashMap<String, Storage>, Fault> {
    let prefix = format!("{folder}data/");
    let mut found = HashMap::new();
    for index in 0..archive.len() {
        let member = archive
            .by_index_raw(index)
            .map_err(|error| Fault::unreadable(format!("the archive: {error}")))?;
        let name = member.name().unwrap_or_default();
        let Some(key) = name.strip_prefix(&prefix) else {
            continue;
        };
        if member.compression() != CompressionMethod::Stored {
            return Err(Fault::unreadable("its numbers are compressed"));
        }
        let place = member.data_start().and_then(|start| {
            let (start, bytes) = (
                usize::try_from(start).ok()?,
                usize::try_from(member.size()).ok()?,
            );
            (start.checked_add(bytes)? <= len).then_some(Storage { start, bytes })
        });
        let place =
            place.ok_or_else(|| Fault::unreadable(format!("storage {key} is cut short")))?;
        found.insert(key.to_owned(), place);
    }
    Ok(found)
}
