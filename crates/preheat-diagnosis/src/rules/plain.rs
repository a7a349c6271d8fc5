//! What programs say in plain words of their own: no server's sentence, and understood by the kinds of
//! words that stand together.

pub(super) mod broken;
pub(super) mod checks;
pub(super) mod devices;
pub(super) mod endings;
pub(super) mod first;
pub(super) mod images;
pub(super) mod loads;
pub(super) mod placing;
pub(super) mod processes;
pub(super) mod readiness;
pub(super) mod requests;
pub(super) mod resources;
pub(super) mod signs;
pub(super) mod unfit;
pub(super) mod warmups;
