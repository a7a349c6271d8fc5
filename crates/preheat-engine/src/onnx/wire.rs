//! The encoding of protocol buffers, as far as ONNX files need it: fields one after the other.

#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width, and of no interest here.
    Fixed,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) value: Value<'a>,
    /// As it stands in the message, key included.
    pub(super) raw: &'a [u8],
}

/// The fields of a message, in order. Ends after the first fault.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<Field<'_>, String>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let next = field(&mut rest);
        if next.is_none() {
            rest = &[];
        }
        Some(next.ok_or_else(|| "is not an ONNX file, or is damaged".to_owned()))
    })
}

/// The last occurrence counts, as everywhere in this format.
pub(super) fn last(message: &[u8], wanted: u64) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    for field in fields(message) {
        if let Field {
            number,
            value: Value::Bytes(bytes),
            ..
        } = field?
            && number == wanted
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// Whether these bytes are numbers of variable length, up to the last.
pub(super) fn varints(mut bytes: &[u8]) -> Option<()> {
    while !bytes.is_empty() {
        varint(&mut bytes)?;
    }
    Some(())
}

/// Appends a field that holds bytes.
pub(super) fn put(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(number << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let whole = *rest;
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest)?),
        1 => {
            *rest = rest.get(8..)?;
            Value::Fixed
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            let (bytes, behind) = rest.split_at_checked(length)?;
            *rest = behind;
            Value::Bytes(bytes)
        }
        5 => {
            *rest = rest.get(4..)?;
            Value::Fixed
        }
        _ => return None,
    };
    Some(Field {
        number: key >> 3,
        value,
        raw: &whole[..whole.len() - rest.len()],
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
