//! The memory of a session: what a run took of it, and taking as much before the first run.
//!
//! A session keeps what its runs took, for the next ones. The longest run computes for as long as the
//! longest request; taking its memory alone is a matter of touching pages.

use std::ffi::CStr;
use std::ptr;

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::sys::OrtKeyValuePairs;
use ort::value::Tensor;

/// Of what a system may have, the smallest.
const PAGE: usize = 4096;

/// Has the session hold so many bytes in one piece, for runs to come.
pub(super) fn take(session: &Session, bytes: usize) -> Result<(), ort::Error> {
    let mut piece = Tensor::<u8>::new(&allocator(session)?, [bytes])?;
    let (_, bytes) = piece.extract_tensor_mut();
    bytes.iter_mut().step_by(PAGE).for_each(|byte| *byte = 0);
    Ok(())
}

/// Bytes of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) now: usize,
    pub(super) most: usize,
}

/// None where the library does not say.
#[expect(
    unsafe_code,
    reason = "the crate around the library has no form of this"
)]
pub(super) fn used(session: &Session) -> Option<Used> {
    let allocator = allocator(session).ok()?;
    let api = ort::api();
    let mut pairs: *mut OrtKeyValuePairs = ptr::null_mut();
    // SAFETY: the allocator lives; the pairs are released below, once.
    let status = unsafe { (api.AllocatorGetStats)(allocator.ptr(), &raw mut pairs) };
    // SAFETY: the status is the library's, and given to this alone.
    unsafe { ort::Error::result_from_status(status) }.ok()?;
    let number = |name: &CStr| {
        // SAFETY: the pairs live; the library's texts live with them and end with a zero.
        let text = unsafe {
            let text = (api.GetKeyValue)(pairs, name.as_ptr());
            (!text.is_null()).then(|| CStr::from_ptr(text))
        };
        text?.to_str().ok()?.parse().ok()
    };
    let used = number(c"InUse").zip(number(c"MaxInUse"));
    // SAFETY: they are the library's, and nobody has them any more.
    unsafe { (api.ReleaseKeyValuePairs)(pairs) };
    used.map(|(now, most)| Used { now, most })
}

fn allocator(session: &Session) -> Result<Allocator, ort::Error> {
    let (device, kind) = (AllocationDevice::CPU, AllocatorType::Device);
    Allocator::new(
        session,
        MemoryInfo::new(device, 0, kind, MemoryType::Default)?,
    )
}
